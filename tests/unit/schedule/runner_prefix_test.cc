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

TEST(RunnerPrefix, WhatWaitingTurnsAreReadyToGoOnFromDoesNotStopThemAll) {
  constexpr int32_t kPrefixes = StateTiers::kHostFloor;
  Bench bench({.slots = 2, .token_budget = 4, .prefixes = true, .host_bytes = 0});
  const auto begins = [](int32_t i) { return std::vector<int32_t>{i + 1, i + 2, i + 3}; };
  for (int32_t i = 0; i < kPrefixes; ++i) bench.RunToAnswer(Request(begins(i), 0));

  std::vector<std::shared_ptr<OutputStream>> streams;
  std::vector<GenerateRequest> requests;
  const auto submit = [&](const GenerateRequest& request) {
    streams.push_back(bench.Submit(request));
    requests.push_back(request);
  };
  for (const int32_t first : {20, 23}) {
    GenerateRequest request = Request({first, 21, 22}, 10);
    request.session_id = bench.NewSession();
    submit(request);
  }
  bench.Step();
  // The later ones, which are prepared first, leave the earlier ones prepared: together they hold
  // all the host memory there is.
  for (int32_t i = 0; i < kPrefixes; ++i) {
    GenerateRequest request = Request({i + 1, i + 2, i + 3, 9}, 2);
    request.priority = i < kPrefixes / 2 ? Priority::kNormal : Priority::kHigh;
    submit(request);
    if (i == kPrefixes / 2 - 1) bench.runner->Tidy();
  }
  bench.RunToEnd();
  Oracle oracle;
  for (size_t i = 0; i < streams.size(); ++i) {
    SCOPED_TRACE(i);
    const Answer answer = ReadAll(streams[i].get());
    ASSERT_TRUE(answer.status.ok()) << answer.status;
    CheckAnswer(&oracle, answer, requests[i], {});
  }
}

}  // namespace
}  // namespace ssmd::testing
