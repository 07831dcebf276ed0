#include "tests/unit/schedule/check_answer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace ssmd::testing {
namespace {

std::vector<float> Logprobs(const std::vector<TokenDetail>& details) {
  std::vector<float> logprobs;
  logprobs.reserve(details.size());
  for (const TokenDetail& detail : details) logprobs.push_back(detail.logprob);
  return logprobs;
}

void CheckUsage(const Usage& usage, const OracleSession& before, size_t prompt) {
  const auto consumed = static_cast<int64_t>(before.history.size()) - before.pending;
  if (before.history.empty()) {  // it may go on from the beginning of another prompt
    EXPECT_GE(usage.reused_tokens, 0);
    EXPECT_LT(usage.reused_tokens, static_cast<int64_t>(prompt));
  } else {
    EXPECT_EQ(usage.reused_tokens, consumed);
  }
  EXPECT_EQ(usage.prompt_tokens, consumed + before.pending + static_cast<int64_t>(prompt));
  EXPECT_EQ(usage.prompt_tokens, usage.reused_tokens + usage.computed_tokens);
}

// Tokens of the prompt that were fed again count once, though every choice names them.
void CheckRecomputed(int64_t total, const std::vector<int64_t>& of_choices) {
  const int64_t sum = std::accumulate(of_choices.begin(), of_choices.end(), int64_t{0});
  const auto others = static_cast<int64_t>(of_choices.size()) - 1;
  if (others < 1) {
    EXPECT_EQ(total, sum);
    return;
  }
  const int64_t of_prompt = (sum - total) / others;
  EXPECT_EQ(total + of_prompt * others, sum);
  EXPECT_GE(of_prompt, 0);
  EXPECT_LE(of_prompt, *std::min_element(of_choices.begin(), of_choices.end()));
}

void CheckEcho(Oracle* oracle, const Answer::Choice& choice, const GenerateRequest& request,
               const OracleSession& before, const std::vector<int32_t>& prompt) {
  if (!request.echo) {
    EXPECT_TRUE(choice.echo_ids.empty());
    return;
  }
  EXPECT_EQ(choice.echo_ids, prompt);
  if (!request.top_logprobs.has_value()) return;
  std::vector<float> expected;
  TokenLog history = before.history;
  for (size_t i = 0; i < prompt.size(); ++i) {
    // The logits before the first token are there only when the turn fed a token before it.
    if (i > 0 || before.pending > 0) expected.push_back(oracle->Logprob(history, prompt[i]));
    history.emplace_back(prompt[i], false);
  }
  EXPECT_EQ(Logprobs(choice.echo_logprobs), expected);
}

}  // namespace

std::vector<OracleChoice> CheckAnswer(Oracle* oracle, const Answer& answer,
                                      const GenerateRequest& request, const OracleSession& before) {
  EXPECT_TRUE(answer.status.ok()) << answer.status;
  const auto& prompt = std::get<std::vector<int32_t>>(request.prompt);
  std::vector<OracleChoice> expected;
  int64_t generated = 0;
  std::vector<int64_t> recomputed;
  for (int i = 0; i < request.choices; ++i) {
    expected.push_back(oracle->Run(request, before, prompt, i));
    const OracleChoice& want = expected.back();
    const auto found = answer.choices.find(i);
    if (found == answer.choices.end()) {
      ADD_FAILURE() << "choice " << i << " is missing";
      continue;
    }
    const Answer::Choice& got = found->second;
    EXPECT_EQ(got.token_ids, want.token_ids);
    EXPECT_EQ(Logprobs(got.logprobs), want.logprobs);
    EXPECT_EQ(got.text, want.text);
    EXPECT_EQ(got.finished, 1);
    EXPECT_EQ(got.finish.reason, want.reason);
    EXPECT_EQ(got.finish.stop_reason, want.stop_reason);
    EXPECT_EQ(got.finish.history_token_ids, want.history_token_ids);
    EXPECT_EQ(got.finish.usage.generated_tokens, want.generated);
    CheckUsage(got.finish.usage, before, prompt.size());
    CheckEcho(oracle, got, request, before, prompt);
    generated += want.generated;
    recomputed.push_back(got.finish.usage.recomputed_tokens);
  }
  EXPECT_EQ(answer.started.size(), 1u);
  EXPECT_EQ(answer.finals.size(), 1u);
  if (answer.finals.size() == 1) {
    EXPECT_EQ(answer.finals[0].usage.generated_tokens, generated);
    CheckRecomputed(answer.finals[0].usage.recomputed_tokens, recomputed);
    CheckUsage(answer.finals[0].usage, before, prompt.size());
  }
  return expected;
}

}  // namespace ssmd::testing
