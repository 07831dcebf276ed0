// Generating over the whole real path, on the bundled model: what a request says is what happens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/support/daemon.h"
#include "tests/support/turn.h"

namespace ssmd::test {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr const char* kPrompt = "Once upon a time, there was a little";

class GenerateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    daemon_ = Daemon::Start();
    ASSERT_NE(daemon_, nullptr);
    client_ = daemon_->Connect();
  }

  Turn Run(const v1::GenerateRequest& request) { return RunTurn(*client_, request); }
  std::vector<int32_t> Tokenize(const std::string& text) {
    v1::TokenizeRequest request;
    request.set_text(text);
    const auto response = client_->Tokenize(request);
    EXPECT_TRUE(response.ok());
    return {response.value().token_ids().begin(), response.value().token_ids().end()};
  }
  std::string Detokenize(const std::vector<int32_t>& ids) {
    v1::DetokenizeRequest request;
    request.mutable_token_ids()->Assign(ids.begin(), ids.end());
    const auto response = client_->Detokenize(request);
    EXPECT_TRUE(response.ok());
    return response.value().text();
  }

  std::unique_ptr<Daemon> daemon_;
  std::shared_ptr<client::Client> client_;
};

TEST_F(GenerateTest, StreamsStartedThenDeltasThenFinal) {
  const Turn turn = Run(GreedyRequest(kPrompt, 20));
  ASSERT_FALSE(turn.error) << turn.Describe();
  ASSERT_THAT(turn.events, Not(IsEmpty()));
  EXPECT_TRUE(turn.events.front().has_started());
  EXPECT_TRUE(turn.events.back().has_final());
  EXPECT_TRUE(turn.events[turn.events.size() - 2].has_choice_finished());
  EXPECT_GT(turn.events.size(), 10u) << "the text did not stream";
  EXPECT_EQ(turn.started.model(), "tales");
  EXPECT_EQ(turn.started.state_source(), v1::STATE_SOURCE_FRESH);
  EXPECT_THAT(turn.started.numerics_profile(), Not(IsEmpty()));
  EXPECT_THAT(turn.started.request_id(), Not(IsEmpty()));
  EXPECT_THAT(turn.started.session_id(), IsEmpty());
}

TEST_F(GenerateTest, CountsTokens) {
  const Turn turn = Run(GreedyRequest(kPrompt, 20));
  const auto prompt_tokens = static_cast<int64_t>(Tokenize(kPrompt).size());
  EXPECT_THAT(turn.only().ids, SizeIs(20));
  EXPECT_EQ(turn.only().finished.finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(turn.final.usage().prompt_tokens(), prompt_tokens);
  EXPECT_EQ(turn.final.usage().computed_tokens(), prompt_tokens);
  EXPECT_EQ(turn.final.usage().reused_tokens(), 0);
  EXPECT_EQ(turn.final.usage().recomputed_tokens(), 0);
  EXPECT_EQ(turn.final.usage().generated_tokens(), 20);
  EXPECT_THAT(turn.only().finished.history_token_ids(), ElementsAreArray(turn.only().ids));
}

TEST_F(GenerateTest, TextIsTheTokensText) {
  const Turn turn = Run(SeededRequest(kPrompt, 200, 7));
  EXPECT_EQ(turn.only().text, Detokenize(turn.only().ids));
}

TEST_F(GenerateTest, TokenIdsAndTextOfTheSamePromptAgree) {
  v1::GenerateRequest by_ids = GreedyRequest("", 30);
  SetTokens(Tokenize(kPrompt), &by_ids);
  EXPECT_EQ(Run(by_ids).only().ids, Run(GreedyRequest(kPrompt, 30)).only().ids);
}

TEST_F(GenerateTest, ASeedRepeatsAndAnAbsentOneIsReported) {
  v1::GenerateRequest request = SeededRequest(kPrompt, 40, 0);
  const Turn first = Run(request);
  EXPECT_EQ(first.started.seed(), 0u);  // 0 is a seed like any other
  EXPECT_EQ(Run(request).only().ids, first.only().ids);

  request.mutable_sampling()->clear_seed();
  const Turn random = Run(request);
  const Turn other = Run(request);
  EXPECT_NE(random.started.seed(), other.started.seed());
  EXPECT_NE(random.only().ids, other.only().ids);
  request.mutable_sampling()->set_seed(random.started.seed());
  EXPECT_EQ(Run(request).only().ids, random.only().ids);
}

TEST_F(GenerateTest, ZeroTokensOnlyReadsThePrompt) {
  const Turn turn = Run(GreedyRequest(kPrompt, 0));
  ASSERT_FALSE(turn.error) << turn.Describe();
  EXPECT_THAT(turn.only().ids, IsEmpty());
  EXPECT_EQ(turn.only().finished.finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(turn.final.usage().generated_tokens(), 0);
  EXPECT_GT(turn.final.usage().computed_tokens(), 0);
}

TEST_F(GenerateTest, ScoreGivesTheLogprobsThatGenerateReported) {
  v1::GenerateRequest request = GreedyRequest(kPrompt, 25);
  request.set_logprobs(3);
  request.set_echo(true);
  const Turn turn = Run(request);
  ASSERT_FALSE(turn.error) << turn.Describe();
  const Choice& choice = turn.only();
  EXPECT_EQ(choice.echo_text, kPrompt);
  EXPECT_EQ(choice.echo_ids, Tokenize(kPrompt));
  ASSERT_THAT(choice.echo_logprobs, SizeIs(choice.echo_ids.size() - 1));
  ASSERT_THAT(choice.logprobs, SizeIs(25));

  std::vector<int32_t> all = choice.echo_ids;
  all.insert(all.end(), choice.ids.begin(), choice.ids.end());
  std::vector<v1::TokenDetail> reported = choice.echo_logprobs;
  reported.insert(reported.end(), choice.logprobs.begin(), choice.logprobs.end());
  v1::ScoreRequest score;
  score.mutable_token_ids()->mutable_ids()->Assign(all.begin(), all.end());
  score.set_top_logprobs(3);
  const auto scored = client_->Score(score);
  ASSERT_TRUE(scored.ok()) << client::ToString(scored.error());
  ASSERT_EQ(static_cast<size_t>(scored.value().logprobs_size()), all.size() - 1);
  for (size_t i = 0; i + 1 < all.size(); ++i) {
    const v1::TokenDetail& detail = scored.value().logprobs(static_cast<int>(i));
    EXPECT_EQ(detail.SerializeAsString(), reported[i].SerializeAsString()) << "token " << i + 1;
    EXPECT_EQ(detail.token().token_id(), all[i + 1]);
    ASSERT_THAT(detail.top(), SizeIs(3));
    EXPECT_GE(detail.top(0).logprob(), detail.top(1).logprob());
  }
  // Greedy: what was sampled is the most likely.
  for (const v1::TokenDetail& detail : choice.logprobs) {
    EXPECT_EQ(detail.token().token_id(), detail.top(0).token_id());
    EXPECT_THAT(detail.token().token(), Not(IsEmpty()));
  }
}

TEST_F(GenerateTest, AStopStringEndsTheTextBeforeItself) {
  const std::string whole = Run(GreedyRequest(kPrompt, 60)).only().text;
  // A piece of the answer that crosses tokens: no token of this model is so long.
  const size_t at = whole.find(' ', whole.size() / 2);
  ASSERT_NE(at, std::string::npos);
  const std::string stop = whole.substr(at, 18);
  v1::GenerateRequest request = GreedyRequest(kPrompt, 60);
  request.mutable_stop()->add_strings("never said \x01");
  request.mutable_stop()->add_strings(stop);
  const Turn turn = Run(request);
  ASSERT_FALSE(turn.error) << turn.Describe();
  EXPECT_EQ(turn.only().text, whole.substr(0, whole.find(stop)));
  EXPECT_EQ(turn.only().finished.finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(turn.only().finished.stop_reason(), stop);
}

TEST_F(GenerateTest, AStopTokenIsNotPartOfTheAnswer) {
  const std::vector<int32_t> whole = Run(GreedyRequest(kPrompt, 30)).only().ids;
  const int32_t stop = whole[10];
  const auto first = std::find(whole.begin(), whole.end(), stop);
  v1::GenerateRequest request = GreedyRequest(kPrompt, 30);
  request.mutable_stop()->add_token_ids(stop);
  const Turn turn = Run(request);
  EXPECT_EQ(turn.only().ids, std::vector<int32_t>(whole.begin(), first));
  EXPECT_EQ(turn.only().finished.finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(turn.only().finished.stop_reason(), Detokenize({stop}));
  EXPECT_EQ(turn.final.usage().generated_tokens(), first - whole.begin() + 1);
}

TEST_F(GenerateTest, EosEndsAStoryUnlessIgnored) {
  v1::GenerateRequest request = GreedyRequest("", 8);
  SetTokens(Tokenize(kPrompt), &request);
  // The bias makes the end-of-text token the only candidate.
  (*request.mutable_sampling()->mutable_logit_bias())[0] = 100;
  EXPECT_THAT(Run(request).only().ids, ElementsAreArray(std::vector<int32_t>(8, 0)));
  request.mutable_stop()->set_ignore_eos(false);
  const Turn ended = Run(request);
  EXPECT_THAT(ended.only().ids, IsEmpty());
  EXPECT_THAT(ended.only().text, IsEmpty());
  EXPECT_EQ(ended.only().finished.finish_reason(), v1::FINISH_REASON_STOP);
}

TEST_F(GenerateTest, ChoicesShareThePromptAndDifferInWhatTheyDraw) {
  v1::GenerateRequest request = SeededRequest(kPrompt, 24, 5);
  request.set_n(4);
  const Turn turn = Run(request);
  ASSERT_FALSE(turn.error) << turn.Describe();
  ASSERT_THAT(turn.choices, SizeIs(4));
  const auto prompt_tokens = static_cast<int64_t>(Tokenize(kPrompt).size());
  EXPECT_EQ(turn.final.usage().computed_tokens(), prompt_tokens);  // read once
  EXPECT_EQ(turn.final.usage().generated_tokens(), 4 * 24);
  for (const auto& [index, choice] : turn.choices) {
    EXPECT_THAT(choice.ids, SizeIs(24));
    EXPECT_TRUE(index == 0 || choice.ids != turn.choices.at(0).ids);
  }
  // Choice 0 is the single answer to the same request.
  EXPECT_EQ(turn.choices.at(0).ids, Run(SeededRequest(kPrompt, 24, 5)).only().ids);
}

TEST_F(GenerateTest, APenaltyKeepsFromRepeating) {
  v1::GenerateRequest request = GreedyRequest("the the the the the the", 40);
  request.mutable_sampling()->set_frequency_penalty(2);
  request.mutable_sampling()->set_repetition_penalty(1.5);
  const std::vector<int32_t> ids = Run(request).only().ids;
  EXPECT_NE(ids, Run(GreedyRequest("the the the the the the", 40)).only().ids);
  const std::set<int32_t> distinct(ids.begin(), ids.end());
  EXPECT_GT(distinct.size(), 30u);
}

TEST_F(GenerateTest, RepliesHoldWholeCharactersOnly) {
  v1::GenerateRequest request = GreedyRequest("", 3);
  request.set_echo(true);
  const std::string text = "naïve café 日本語 🦜 done";
  request.set_text(text);
  const Turn turn = Run(request);
  ASSERT_FALSE(turn.error) << turn.Describe();
  EXPECT_EQ(turn.only().echo_text, text);
}

TEST_F(GenerateTest, ALongPromptReportsProgress) {
  std::string prompt;
  for (int i = 0; i < 600; ++i) prompt += "word and word, ";
  const Turn turn = Run(GreedyRequest(prompt, 1));
  ASSERT_FALSE(turn.error) << turn.Describe();
  int64_t done = 0;
  for (const v1::GenerateResponse& event : turn.events) {
    if (!event.has_progress()) continue;
    EXPECT_GT(event.progress().done_tokens(), done);
    EXPECT_LE(event.progress().done_tokens(), event.progress().total_tokens());
    done = event.progress().done_tokens();
  }
  EXPECT_GT(done, 0);
}

TEST_F(GenerateTest, AnotherModelsNameIsNotFound) {
  v1::GenerateRequest request = GreedyRequest(kPrompt, 1);
  request.set_model("tales");
  EXPECT_FALSE(Run(request).error);
  request.set_model("elsewhere");
  const Turn turn = Run(request);
  ASSERT_EQ(turn.code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(turn.error->reason, "MODEL_NOT_FOUND");
  EXPECT_THAT(turn.error->message, HasSubstr("no model named elsewhere is served"));
}

}  // namespace
}  // namespace ssmd::test
