// The runner, step by step, with a clock that stands still.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/errors.h"
#include "tests/unit/schedule/check_answer.h"
#include "tests/unit/schedule/runner_bench.h"

namespace ssmd::testing {
namespace {

using std::chrono::seconds;

// --- Figures ---

TEST(RunnerFigures, TokensAreCountedAsTheyAreReadAndSampled) {
  Bench bench;
  GenerateRequest request = Request({1, 2, 3}, 1000);
  request.choices = 2;
  auto stream = bench.Submit(request);
  bench.Step();
  EXPECT_EQ(bench.runner->stats().read_tokens, 3);
  EXPECT_EQ(bench.runner->stats().generated_tokens, 2);
  bench.Step(4);
  EXPECT_EQ(bench.runner->stats().read_tokens, 3);
  EXPECT_EQ(bench.runner->stats().generated_tokens, 2 * 5);
  stream->Cancel();
  EXPECT_FALSE(bench.runner->Tidy());
  EXPECT_EQ(bench.runner->stats().generated_tokens, 2 * 5) << "the end counts nothing again";
}

// --- Ends before the time ---

TEST(RunnerCancel, FreesTheSlotsOfARunningTurnBeforeTheNextStep) {
  Bench bench;
  const std::string session = bench.NewSession();
  GenerateRequest first = Request({1, 2}, 3);
  first.session_id = session;
  bench.RunToAnswer(first);
  const FakeState before = bench.StateOf(session);

  GenerateRequest request = Request({3, 4, 5}, 1000);
  request.session_id = session;
  auto stream = bench.Submit(request);
  bench.Step(5);
  EXPECT_EQ(bench.free_slots(), 6);
  stream->Cancel();
  EXPECT_FALSE(bench.runner->Tidy());
  EXPECT_EQ(bench.free_slots(), 7);
  EXPECT_EQ(CodeOf(stream.get()), absl::StatusCode::kCancelled);
  const auto ends = bench.runner->stats().early_ends;
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].reason, "CANCELLED");
  EXPECT_EQ(ends[0].request_id, "request2");
  EXPECT_LE(ends[0].freed_step - ends[0].noticed_step, 2u);

  const auto info = bench.sessions->Get("tenant", session);
  EXPECT_EQ(info->revision, 1u);
  EXPECT_EQ(info->position, 5);
  EXPECT_FALSE(info->running);
  EXPECT_EQ(bench.StateOf(session).hash, before.hash);
}

TEST(RunnerCancel, ReachesATurnThatWaits) {
  Bench bench({.slots = 2});
  auto running = bench.Submit(Request({1}, 100));
  auto also = bench.Submit(Request({1}, 100));
  auto waiting = bench.Submit(Request({1}, 100));
  bench.Step(2);
  waiting->Cancel();
  bench.Step();
  EXPECT_EQ(CodeOf(waiting.get()), absl::StatusCode::kCancelled);
  EXPECT_EQ(CodeOf(running.get()), absl::StatusCode::kUnknown);
}

TEST(RunnerCancel, IsANoOpAfterTheCommit) {
  Bench bench;
  auto stream = bench.Submit(Request({1}, 2));
  bench.RunToEnd();
  stream->Cancel();
  EXPECT_EQ(CodeOf(stream.get()), absl::StatusCode::kOk);
}

TEST(RunnerDeadline, EndsRunningAndWaitingTurnsWhenItPasses) {
  Bench bench({.slots = 2});
  GenerateRequest request = Request({1}, 1000);
  request.deadline = bench.clock.Now() + seconds(5);
  auto running = bench.Submit(request);
  auto other = bench.Submit(Request({1}, 1000));
  auto waiting = bench.Submit(request);
  bench.Step(3);
  EXPECT_EQ(bench.runner->next_timer(), request.deadline);
  bench.clock.Advance(seconds(5) - Duration(1));
  bench.Step();
  EXPECT_EQ(CodeOf(running.get()), absl::StatusCode::kUnknown);
  bench.clock.Advance(Duration(1));
  bench.Step();
  EXPECT_EQ(CodeOf(running.get()), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(CodeOf(waiting.get()), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(CodeOf(other.get()), absl::StatusCode::kUnknown);
  EXPECT_EQ(bench.free_slots(), 1);
  EXPECT_EQ(bench.runner->stats().early_ends.size(), 2u);
}

TEST(RunnerEarlyEnds, KeepsTheNewest32) {
  Bench bench;
  for (int i = 0; i < 40; ++i) {
    bench.Submit(Request({1}, 5))->Cancel();
    bench.runner->Tidy();
  }
  const auto ends = bench.runner->stats().early_ends;
  ASSERT_EQ(ends.size(), 32u);
  EXPECT_EQ(ends.front().request_id, "request9");
  EXPECT_EQ(ends.back().request_id, "request40");
}

TEST(RunnerDropSession, EndsItsTurnAndFreesItsSlot) {
  Bench bench;
  const std::string session = bench.NewSession();
  GenerateRequest request = Request({1}, 2);
  request.session_id = session;
  bench.RunToAnswer(request);
  request.max_tokens = 1000;
  auto stream = bench.Submit(request);
  bench.Step(3);
  bool busy = false;
  bench.sessions->Apply(*bench.sessions->ProposeDelete("tenant", session, std::nullopt, &busy));
  EXPECT_TRUE(busy);
  bench.runner->DropSession({"tenant", session}, absl::CancelledError("deleted"));
  bench.runner->Tidy();
  EXPECT_EQ(CodeOf(stream.get()), absl::StatusCode::kCancelled);
  EXPECT_EQ(bench.free_slots(), 8);
}

// --- Readers ---

TEST(RunnerReader, APausedTurnIsNotScheduledAndOthersGoOn) {
  Bench bench({.output_events = 6});
  auto stalled = bench.Submit(Request({1}, 20));
  auto read = bench.Submit(Request({2}, 20));
  Answer answer;
  const auto drain = [&](OutputStream* stream) {
    while (auto event = stream->Pop()) answer.Add(*std::move(event));
  };
  for (int step = 0; step < 25 && bench.runner->Tidy(); ++step) {
    bench.runner->Step();
    drain(read.get());
  }
  EXPECT_EQ(answer.choices[0].token_ids.size(), 20u);
  EXPECT_EQ(bench.runner->stats().paused, 1);
  EXPECT_FALSE(bench.runner->Tidy()) << "nobody is left who could run";

  OracleSession nobody;
  Oracle oracle;
  answer = Answer();
  for (int i = 0; i < 100 && !stalled->status().has_value(); ++i) {
    drain(stalled.get());
    if (bench.runner->Tidy()) bench.runner->Step();
  }
  answer.status = *stalled->status();
  CheckAnswer(&oracle, answer, Request({1}, 20), nobody);
}

TEST(RunnerReader, OneThatIsTooSlowLosesItsTurn) {
  Bench bench({.output_events = 2});
  auto stream = bench.Submit(Request({1}, 20));
  bench.RunToEnd();
  ASSERT_EQ(bench.runner->next_timer(), bench.clock.Now() + seconds(60));
  bench.clock.Advance(seconds(60) - Duration(1));
  bench.runner->Tidy();
  EXPECT_EQ(bench.free_slots(), 7);
  bench.clock.Advance(Duration(1));
  bench.runner->Tidy();
  EXPECT_EQ(bench.free_slots(), 8);
  EXPECT_EQ(CodeOf(stream.get()), absl::StatusCode::kAborted);
  EXPECT_EQ(ReasonOf(*stream->status()), reason::kSlowReader);
  EXPECT_EQ(bench.runner->stats().early_ends.at(0).reason, reason::kSlowReader);
}

TEST(RunnerReader, OneThatReadsAgainGoesOnThoughSessionsFillEverything) {
  constexpr int kSlots = 3;
  Bench bench({.slots = kSlots, .output_events = 4, .host_bytes = 0});
  auto stalled = bench.Submit(Request({1}, 20));
  bench.RunToEnd();
  ASSERT_EQ(bench.runner->stats().paused, 1);
  for (size_t i = 0; i < kSlots - 1 + StateTiers::kHostFloor; ++i) {
    GenerateRequest request = Request({2}, 1);
    request.session_id = bench.NewSession();
    EXPECT_TRUE(bench.RunToAnswer(request).status.ok());
  }
  ASSERT_EQ(bench.free_slots(), 0);
  Answer answer;
  for (int i = 0; i < 100 && !stalled->status().has_value(); ++i) {
    while (auto event = stalled->Pop()) answer.Add(*std::move(event));
    if (bench.runner->Tidy()) bench.runner->Step();
  }
  answer.status = stalled->status().value_or(absl::UnknownError("it is stuck"));
  Oracle oracle;
  CheckAnswer(&oracle, answer, Request({1}, 20), OracleSession());
}

TEST(RunnerReader, APauseEndsItsTimer) {
  Bench bench({.output_events = 2});
  auto stream = bench.Submit(Request({1}, 20));
  for (int i = 0; i < 4; ++i) {
    bench.RunToEnd();
    bench.clock.Advance(seconds(50));
    while (stream->Pop().has_value()) {
    }
  }
  bench.runner->Tidy();
  EXPECT_FALSE(stream->status().has_value());
}

// --- Slots ---

TEST(RunnerSlots, ATurnGetsAllItsSlotsOrNoneAndIsNotOvertaken) {
  Bench bench({.slots = 4});
  GenerateRequest two = Request({1}, 3);
  two.choices = 2;
  auto first = bench.Submit(two);
  GenerateRequest three = Request({2}, 3);
  three.choices = 3;
  auto second = bench.Submit(three);
  auto third = bench.Submit(Request({3}, 1));
  bench.Step();
  EXPECT_EQ(bench.runner->stats().running, 1);
  EXPECT_EQ(bench.free_slots(), 2);
  EXPECT_FALSE(second->Pop().has_value());
  EXPECT_FALSE(third->Pop().has_value());
  bench.Step(2);
  bench.Step();
  EXPECT_EQ(bench.runner->stats().running, 1) << "the third has had its one step";
  bench.RunToEnd();
  EXPECT_EQ(CodeOf(second.get()), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf(third.get()), absl::StatusCode::kOk);
  EXPECT_EQ(bench.free_slots(), 4);
}

TEST(RunnerSlots, HigherPriorityStartsFirstThenTheEarlier) {
  Bench bench({.slots = 2});
  bench.Submit(Request({1}, 5));
  bench.Submit(Request({1}, 6));
  bench.Step();
  GenerateRequest request = Request({1}, 1);
  auto low = bench.Submit(request);
  request.priority = Priority::kHigh;
  auto high = bench.Submit(request);
  auto high_later = bench.Submit(request);
  bench.Step(4);
  const auto ended = [](const auto& stream) { return CodeOf(stream.get()); };
  bench.Step();
  EXPECT_EQ(ended(high), absl::StatusCode::kOk);
  EXPECT_EQ(ended(high_later), absl::StatusCode::kUnknown);
  bench.runner->Tidy();
  bench.runner->Step();
  EXPECT_EQ(ended(high_later), absl::StatusCode::kOk);
  bench.RunToEnd();
  EXPECT_EQ(ended(low), absl::StatusCode::kOk);
}

TEST(RunnerSlots, MaxRunningHoldsTurnsBackThoughSlotsAreFree) {
  Bench bench({.max_running = 2});
  for (int i = 0; i < 3; ++i) bench.Submit(Request({1}, 10));
  bench.Step();
  EXPECT_EQ(bench.runner->stats().running, 2);
}

TEST(RunnerSlots, SessionsMakeRoomForTurnsThatNeedTheirSlots) {
  Bench bench({.slots = 3});
  GenerateRequest request = Request({1}, 4);
  request.session_id = bench.NewSession();
  auto session_turn = bench.Submit(request);
  bench.Step();
  GenerateRequest three = Request({2}, 3);
  three.choices = 3;
  auto wide = bench.Submit(three);
  bench.RunToEnd();
  EXPECT_EQ(CodeOf(session_turn.get()), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf(wide.get()), absl::StatusCode::kOk);
  EXPECT_EQ(bench.sessions->Get("tenant", request.session_id)->tier, StateTier::kHost);
  GenerateRequest more = Request({3}, 2);
  more.session_id = request.session_id;
  EXPECT_EQ(bench.RunToAnswer(more).started.at(0).state_source, StateSource::kHost);
}

// --- Numbers ---

TEST(RunnerNumerical, ANanEndsItsTurnAloneAndLeavesTheSession) {
  Bench bench;
  const std::string session = bench.NewSession();
  GenerateRequest request = Request({1, 2}, 3);
  request.session_id = session;
  bench.RunToAnswer(request);
  const FakeState before = bench.StateOf(session);

  GenerateRequest poisoned = Request({3, FakeModel::kPoison}, 10);
  poisoned.session_id = session;
  auto victim = bench.Submit(poisoned);
  auto neighbour = bench.Submit(Request({4, 5}, 12));
  bench.RunToEnd();
  EXPECT_EQ(CodeOf(victim.get()), absl::StatusCode::kInternal);
  EXPECT_EQ(ReasonOf(*victim->status()), reason::kNumerical);
  Oracle oracle;
  CheckAnswer(&oracle, ReadAll(neighbour.get()), Request({4, 5}, 12), OracleSession());
  EXPECT_EQ(bench.sessions->Get("tenant", session)->revision, 1u);
  EXPECT_EQ(bench.StateOf(session).hash, before.hash);
  EXPECT_EQ(bench.free_slots(), 7);
  int zeroed = 0;
  for (int slot = 0; slot < 8; ++slot) zeroed += bench.StateAt(slot).consumed == 0 ? 1 : 0;
  EXPECT_EQ(zeroed, 7);
}

TEST(RunnerNumerical, APromptWithoutAnAnswerIsCheckedToo) {
  Bench bench;
  GenerateRequest request = Request({FakeModel::kPoison, 1}, 0);
  request.session_id = bench.NewSession();
  EXPECT_EQ(ReasonOf(bench.RunToAnswer(request).status), reason::kNumerical);
  EXPECT_EQ(bench.sessions->Get("tenant", request.session_id)->position, 0);
}

TEST(RunnerNumerical, AVectorIsCheckedToo) {
  for (const Pooling pooling : {Pooling::kMean, Pooling::kMax, Pooling::kLast}) {
    Bench bench;
    absl::Status status;
    bench.SubmitEncode({1, FakeModel::kPoison}, pooling,
                       [&](const absl::StatusOr<EncodeResult>& r) { status = r.status(); });
    bench.RunToEnd();
    EXPECT_EQ(ReasonOf(status), reason::kNumerical) << status;
  }
}

TEST(RunnerNumerical, AScoreIsCheckedToo) {
  Bench bench;
  absl::Status status;
  bench.SubmitScore({1, FakeModel::kPoison, 2},
                    [&](const absl::StatusOr<ScoreResult>& result) { status = result.status(); });
  bench.RunToEnd();
  EXPECT_EQ(ReasonOf(status), reason::kNumerical);
  EXPECT_EQ(bench.free_slots(), 8);
}

// --- Going back to before a stop string ---

// What the tokens of an answer to `prompt` read like, from one of them to another.
std::string BytesOfAnswer(const std::vector<int32_t>& prompt, size_t begin, size_t end) {
  const OracleChoice answer = Oracle().Run(Request(prompt, 40), OracleSession(), prompt, 0);
  std::string bytes;
  for (size_t i = begin; i < end; ++i) {
    bytes += ShownBytes(FakeTokenizer(), answer.token_ids.at(i));
  }
  return bytes;
}

struct TrimCase {
  std::vector<int32_t> prompt;
  size_t stop_begin, stop_end;  // tokens of the answer whose bytes are the stop string
  size_t skip_bytes;            // so that it begins within a token
};

class RunnerTrimTest : public ::testing::TestWithParam<TrimCase> {};

TEST_P(RunnerTrimTest, MarkAndRecomputationGiveTheSameSessionBitForBit) {
  const TrimCase& test = GetParam();
  const std::string stop =
      BytesOfAnswer(test.prompt, test.stop_begin, test.stop_end).substr(test.skip_bytes);
  ASSERT_GE(stop.size(), 2u);
  std::vector<FakeState> states;
  for (const int slots : {2, 8}) {
    for (const bool resident_base : {false, true}) {
      if (slots == 2 && resident_base) continue;  // base and working slot: no spare either way
      Bench bench({.slots = slots, .token_budget = 3});
      Oracle oracle;
      OracleSession session;
      GenerateRequest request = Request(test.prompt, 40);
      request.session_id = bench.NewSession();
      // Take the only slot that is spare.
      std::shared_ptr<OutputStream> other;
      if (slots == 2) other = bench.Submit(Request({1}, 1000));
      if (resident_base) {
        GenerateRequest first = Request({test.prompt.front()}, 0);
        first.session_id = request.session_id;
        session = CheckAnswer(&oracle, bench.RunToAnswer(first), first, session)[0].after;
        std::get<1>(request.prompt).erase(std::get<1>(request.prompt).begin());
      }
      request.stop.strings = {stop};
      auto stream = bench.Submit(request);
      while (bench.sessions->Get("tenant", request.session_id)->running) bench.Step();
      const Answer answer = ReadAll(stream.get());
      session = CheckAnswer(&oracle, answer, request, session)[0].after;
      EXPECT_EQ(answer.choices.at(0).finish.stop_reason, stop);
      const auto consumed = static_cast<int64_t>(session.history.size()) - session.pending;
      EXPECT_EQ(answer.finals[0].usage.recomputed_tokens, slots == 2 ? consumed : 0);
      FakeState expected;
      for (size_t i = 0; i < session.history.size() - static_cast<size_t>(session.pending); ++i) {
        expected.Consume(session.history[i].token_id());
      }
      states.push_back(bench.StateOf(request.session_id));
      EXPECT_EQ(states.back().hash, expected.hash);
      EXPECT_EQ(states.back().consumed, expected.consumed);
      if (other != nullptr) other->Cancel();
      bench.RunToEnd();
      EXPECT_EQ(bench.free_slots(), slots - 1);
    }
  }
  for (const FakeState& state : states) {
    EXPECT_EQ(state.hash, states[0].hash);
    EXPECT_EQ(state.consumed, states[0].consumed);
  }
}

INSTANTIATE_TEST_SUITE_P(, RunnerTrimTest,
                         ::testing::Values(TrimCase{{1, 2, 3}, 4, 6, 0},
                                           TrimCase{{5, 9, 13, 2, 2, 7}, 6, 9, 0},
                                           TrimCase{{24, 1}, 3, 7, 0},
                                           TrimCase{{12, 13}, 5, 9, 1}));

TEST(RunnerTrim, AMarkIsGivenUpForATurnThatWaits) {
  const std::vector<int32_t> prompt = {1, 2, 3};
  const std::string stop = BytesOfAnswer(prompt, 4, 12);
  Bench bench({.slots = 2});
  GenerateRequest request = Request(prompt, 40);
  request.session_id = bench.NewSession();
  request.stop.strings = {stop};
  auto stream = bench.Submit(request);
  while (bench.runner->Tidy() && bench.free_slots() > 0) bench.runner->Step();
  EXPECT_EQ(bench.free_slots(), 0) << "a mark holds the second slot";
  auto other = bench.Submit(Request({7}, 100));
  bench.Step();
  EXPECT_TRUE(other->Pop().has_value()) << "it has started";
  while (bench.sessions->Get("tenant", request.session_id)->running) bench.Step();
  Oracle oracle;
  const Answer answer = ReadAll(stream.get());
  CheckAnswer(&oracle, answer, request, OracleSession());
  EXPECT_GT(answer.finals[0].usage.recomputed_tokens, 0);
}

}  // namespace
}  // namespace ssmd::testing
