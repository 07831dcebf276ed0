// CommitMode::kPartial: what a turn that is cut short leaves is what its caller has got, neither
// more nor less.
#include <gtest/gtest.h>

#include "tests/unit/schedule/check_answer.h"
#include "tests/unit/schedule/runner_bench.h"

namespace ssmd::testing {
namespace {

GenerateRequest PartialRequest(Bench* bench, std::vector<int32_t> prompt, int32_t max_tokens) {
  GenerateRequest request = Request(std::move(prompt), max_tokens);
  request.session_id = bench->NewSession();
  request.commit = CommitMode::kPartial;
  request.key = {"request", 1};
  return request;
}

// Reads what there is, of which the transport takes all up to the `limit`th token.
void Read(OutputStream* stream, int limit, std::vector<int32_t>* seen) {
  while (const auto event = stream->Pop()) {
    if (static_cast<int>(seen->size()) < limit) stream->NoteAccepted();
    const auto* delta = std::get_if<DeltaEvent>(&*event);
    if (delta != nullptr)
      seen->insert(seen->end(), delta->token_ids.begin(), delta->token_ids.end());
  }
}

std::vector<int32_t> HistoryOf(const Bench& bench, const std::string& session) {
  std::vector<int32_t> ids;
  const auto image = bench.sessions->Image("tenant", session, "");
  for (const LoggedToken token : image->history) ids.push_back(token.token_id());
  return ids;
}

TurnResult ResultOf(const Bench& bench, const std::string& session) {
  const auto found = bench.sessions->FindRequest("tenant", session, {"request", 1});
  const auto* result = std::get_if<TurnResult>(&*found);
  EXPECT_NE(result, nullptr);
  return result == nullptr ? TurnResult() : *result;
}

TEST(RunnerPartial, CommitsWhatWasAcceptedAndGivesNoMore) {
  Bench bench;
  GenerateRequest request = PartialRequest(&bench, {1, 2}, 40);
  request.deadline = bench.clock.Now() + std::chrono::seconds(1);
  auto stream = bench.Submit(request);
  std::vector<int32_t> accepted;
  bench.Step(3);
  Read(stream.get(), 100, &accepted);
  ASSERT_EQ(accepted.size(), 3u);
  bench.Step(3);
  bench.clock.Advance(std::chrono::seconds(1));
  bench.runner->Tidy();
  EXPECT_FALSE(stream->Pop().has_value()) << "it was made, but it is not the session's";
  EXPECT_EQ(CodeOf(stream.get()), absl::StatusCode::kDeadlineExceeded);

  std::vector<int32_t> history = {1, 2};
  history.insert(history.end(), accepted.begin(), accepted.end());
  EXPECT_EQ(HistoryOf(bench, request.session_id), history);
  EXPECT_EQ(bench.sessions->Get("tenant", request.session_id)->pending_tokens, 1);
  const TurnResult result = ResultOf(bench, request.session_id);
  EXPECT_EQ(result.choices.at(0).token_ids, accepted);
  EXPECT_EQ(result.choices.at(0).history_token_ids, accepted);
  std::string text;
  Detokenizer reader;
  for (const int32_t id : accepted) text += reader.Push(ShownBytes(FakeTokenizer(), id));
  EXPECT_EQ(result.choices.at(0).text, text);
}

TEST(RunnerPartial, WithNothingAcceptedTheSessionStaysAsItWas) {
  Bench bench;
  const GenerateRequest request = PartialRequest(&bench, {1, 2}, 40);
  auto stream = bench.Submit(request);
  bench.Step(8);
  stream->Cancel();
  bench.runner->Tidy();
  EXPECT_FALSE(stream->Pop().has_value());
  EXPECT_EQ(CodeOf(stream.get()), absl::StatusCode::kCancelled);
  EXPECT_EQ(bench.sessions->Get("tenant", request.session_id)->revision, 0u);
}

// An answer that has ended at a stop string is cut short while its tokens are fed again, for want
// of a mark.
class RunnerPartialStopTest : public ::testing::TestWithParam<int> {};  // tokens accepted

TEST_P(RunnerPartialStopTest, CommitsWhatWasAcceptedButNothingOfTheStop) {
  const std::vector<int32_t> prompt = {1, 2, 3};
  Bench bench({.slots = 2, .token_budget = 2});
  GenerateRequest request = PartialRequest(&bench, prompt, 40);
  Oracle oracle;
  std::string stop;
  for (const size_t token : {6u, 7u, 8u}) {
    stop += ShownBytes(FakeTokenizer(), oracle.Run(request, {}, prompt, 0).token_ids.at(token));
  }
  request.stop.strings = {stop};
  const OracleChoice expected = oracle.Run(request, {}, prompt, 0);
  auto other = bench.Submit(Request({1}, 1000));  // takes the only slot that is spare
  auto stream = bench.Submit(request);
  std::vector<int32_t> seen;
  while (seen.size() < expected.token_ids.size()) {
    bench.Step();
    Read(stream.get(), GetParam(), &seen);
  }
  ASSERT_TRUE(bench.sessions->Get("tenant", request.session_id)->running);
  stream->Cancel();
  bench.runner->Tidy();
  EXPECT_EQ(CodeOf(stream.get()), absl::StatusCode::kCancelled);
  std::vector<int32_t> history = prompt;
  const std::vector<int32_t>& kept = expected.history_token_ids;
  const bool whole = GetParam() > 6;
  history.insert(history.end(), kept.begin(), whole ? kept.end() : kept.begin() + GetParam());
  EXPECT_EQ(HistoryOf(bench, request.session_id), history);
  EXPECT_EQ(bench.sessions->Get("tenant", request.session_id)->pending_tokens,
            whole ? expected.after.pending : 1);
  other->Cancel();
}

INSTANTIATE_TEST_SUITE_P(, RunnerPartialStopTest, ::testing::Values(1, 5, 6, 7, 9));

}  // namespace
}  // namespace ssmd::testing
