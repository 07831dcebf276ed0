// Turns that wait for a state which another turn is about to make.
#include <gtest/gtest.h>

#include "tests/unit/schedule/check_answer.h"
#include "tests/unit/schedule/runner_bench.h"

namespace ssmd::testing {
namespace {

std::vector<int32_t> Tokens(int32_t count) {
  std::vector<int32_t> ids;
  for (int32_t id = 1; id <= count; ++id) ids.push_back(id);
  return ids;
}

void ExpectRight(const Answer& answer, const GenerateRequest& request) {
  Oracle oracle;
  CheckAnswer(&oracle, answer, request, {});
}

TEST(RunnerPrefix, ATurnWithoutAnAnswerKeepsTheStateThatAnotherWaitedFor) {
  Bench bench({.token_budget = 4, .prefixes = true});
  GenerateRequest reads = Request(Tokens(10), 0);
  reads.session_id = bench.NewSession();
  auto stream = bench.Submit(reads);
  bench.Step();
  // All that the turn will have fed; its last token stays pending.
  GenerateRequest waits = Request(Tokens(11), 3);
  waits.tenant = reads.tenant;
  ASSERT_EQ(bench.probe.tokens_fed, 4);
  auto waiting = bench.Submit(waits);
  bench.RunToEnd();

  EXPECT_TRUE(ReadAll(stream.get()).status.ok());
  const Answer answer = ReadAll(waiting.get());
  ASSERT_EQ(answer.finals.size(), 1u) << answer.status;
  EXPECT_EQ(answer.finals.front().usage.reused_tokens, 9);
  ExpectRight(answer, waits);
  FakeState expected;
  for (const int32_t id : Tokens(9)) expected.Consume(id);
  EXPECT_EQ(bench.StateOf(reads.session_id).consumed, 9u);
  EXPECT_EQ(bench.StateOf(reads.session_id).hash, expected.hash);
}

TEST(RunnerPrefix, SeveralChoicesGoOnFromAPromptOfWhichAnotherTurnWaitedForABeginning) {
  Bench bench({.token_budget = 4, .prefixes = true});
  GenerateRequest reads = Request(Tokens(10), 3);
  reads.choices = 2;
  auto stream = bench.Submit(reads);
  bench.Step();
  GenerateRequest waits = Request(Tokens(11), 3);
  auto waiting = bench.Submit(waits);
  bench.RunToEnd();

  ExpectRight(ReadAll(stream.get()), reads);
  const Answer answer = ReadAll(waiting.get());
  ASSERT_EQ(answer.finals.size(), 1u) << answer.status;
  EXPECT_EQ(answer.finals.front().usage.reused_tokens, 9);
  ExpectRight(answer, waits);
}

}  // namespace
}  // namespace ssmd::testing
