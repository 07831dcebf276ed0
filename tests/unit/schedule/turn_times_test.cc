// Where a turn's time goes: alone, and as the runner notes it.
#include "engine/schedule/turn_times.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/schedule/runner_bench.h"

namespace ssmd::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TimePoint At(int ms) { return TimePoint(milliseconds(ms)); }

Duration SumOfParts(const RequestRecord& record) {
  return record.queue + record.prefill + record.decode + record.client_wait + record.commit;
}

RequestRecord Filled(const TurnTimes& times, TimePoint now) {
  RequestRecord record;
  times.Fill(now, &record);
  EXPECT_EQ(SumOfParts(record), record.total);
  EXPECT_LE(record.load, record.queue);
  return record;
}

TEST(TurnTimes, APhaseLastsUntilTheNextOne) {
  TurnTimes times(At(1000));
  times.BeginLoad(At(1002));
  times.BeginLoad(At(1004));  // is still at it
  times.EndLoad(At(1007));
  times.NoteFirstStep(At(1010));
  times.NoteFirstStep(At(1500));  // the second one
  times.NoteFirstToken(At(1030));
  times.NoteFirstToken(At(1600));  // of another choice
  times.NoteRunEnd(At(1700));
  const RequestRecord record = Filled(times, At(1704));
  EXPECT_EQ(record.queue, milliseconds(10));
  EXPECT_EQ(record.load, milliseconds(5));
  EXPECT_EQ(record.prefill, milliseconds(20));
  EXPECT_EQ(record.decode, milliseconds(670));
  EXPECT_EQ(record.client_wait, Duration::zero());
  EXPECT_EQ(record.commit, milliseconds(4));
  EXPECT_EQ(record.total, milliseconds(704));
  EXPECT_EQ(record.first_token, milliseconds(30));
}

TEST(TurnTimes, PausesAreTheClientsWhereverTheyFall) {
  TurnTimes times(At(0));
  times.NoteFirstStep(At(10));
  times.BeginPause(At(12));  // an echo fills the stream, too
  times.EndPause(At(15));
  times.NoteFirstToken(At(20));
  times.BeginPause(At(30));
  times.EndPause(At(70));
  times.EndPause(At(75));  // there is none
  times.BeginPause(At(80));
  const RequestRecord record = Filled(times, At(100));  // it ends while it is paused
  EXPECT_EQ(record.prefill, milliseconds(7));
  EXPECT_EQ(record.decode, milliseconds(20));
  EXPECT_EQ(record.client_wait, milliseconds(3 + 40 + 20));
  EXPECT_EQ(record.pauses, 3);
}

TEST(TurnTimes, APauseEndsWithTheRunAndIsNotCountedAsCommit) {
  TurnTimes times(At(0));
  times.NoteFirstStep(At(0));
  times.NoteFirstToken(At(1));
  times.BeginPause(At(2));
  times.NoteRunEnd(At(10));
  const RequestRecord record = Filled(times, At(15));
  EXPECT_EQ(record.client_wait, milliseconds(8));
  EXPECT_EQ(record.commit, milliseconds(5));
}

TEST(TurnTimes, WhatIsCutShortWasInItsLastPhaseUntilThen) {
  TurnTimes times(At(0));
  times.BeginLoad(At(4));
  RequestRecord record = Filled(times, At(10));
  EXPECT_EQ(record.queue, milliseconds(10));
  EXPECT_EQ(record.load, milliseconds(6));
  times.EndLoad(At(10));
  times.NoteFirstStep(At(11));
  record = Filled(times, At(20));
  EXPECT_EQ(record.prefill, milliseconds(9));
  EXPECT_FALSE(record.first_token.has_value());
}

struct EndRecorder final : Observer {
  void OnRequestEnd(const RequestRecord& request) override { ends.push_back(request); }
  std::vector<RequestRecord> ends;
};

TEST(RunnerTimes, AreThoseOfTheStepsThePausesAndTheWrite) {
  EndRecorder recorder;
  Bench* bench_seen = nullptr;
  Bench bench({.token_budget = 3, .output_events = 4, .observer = &recorder, .before_write = [&] {
                 bench_seen->clock.Advance(milliseconds(9));
               }});
  bench_seen = &bench;
  bench.probe.before_forward = [&] { bench.clock.Advance(milliseconds(2)); };
  GenerateRequest request = Request({1, 2, 3, 4, 5, 6, 7}, 8);  // read in three steps
  request.session_id = bench.NewSession();
  auto stream = bench.Submit(request);
  bench.clock.Advance(milliseconds(5));
  for (int i = 0; i < 100 && recorder.ends.empty(); ++i) {
    if (bench.runner->Tidy()) {
      bench.runner->Step();
      continue;
    }
    bench.clock.Advance(milliseconds(100));  // nobody reads
    while (stream->Pop().has_value()) {
    }
  }
  ASSERT_EQ(recorder.ends.size(), 1u);
  const RequestRecord& record = recorder.ends[0];
  EXPECT_TRUE(record.status.ok());
  EXPECT_EQ(record.queue, milliseconds(5));
  EXPECT_EQ(record.prefill, milliseconds(3 * 2));
  EXPECT_EQ(record.decode, milliseconds(7 * 2));
  EXPECT_GT(record.pauses, 0);
  EXPECT_EQ(record.client_wait, record.pauses * milliseconds(100));
  EXPECT_EQ(record.commit, milliseconds(9));
  EXPECT_EQ(record.first_token, milliseconds(5 + 3 * 2));
  EXPECT_EQ(record.total, SumOfParts(record));
}

TEST(RunnerTimes, OneThatIsTooSlowAndIsEndedWaitedForItsReaderAllThatTime) {
  EndRecorder recorder;
  Bench bench({.output_events = 2, .observer = &recorder});
  auto stream = bench.Submit(Request({1}, 20));
  bench.RunToEnd();
  bench.clock.Advance(seconds(60));
  bench.runner->Tidy();
  ASSERT_EQ(recorder.ends.size(), 1u);
  EXPECT_EQ(recorder.ends[0].client_wait, seconds(60));
  EXPECT_EQ(recorder.ends[0].total, seconds(60));
  EXPECT_EQ(recorder.ends[0].decode, Duration::zero());
}

TEST(RunnerTimes, AScoreIsQueuedAndReadAndHasNoFirstToken) {
  EndRecorder recorder;
  Bench bench({.token_budget = 3, .observer = &recorder});
  bench.probe.before_forward = [&] { bench.clock.Advance(milliseconds(2)); };
  bench.SubmitScore({1, 2, 3, 4, 5}, [](const auto& /*result*/) {});
  bench.clock.Advance(milliseconds(5));
  bench.RunToEnd();
  ASSERT_EQ(recorder.ends.size(), 1u);
  EXPECT_EQ(recorder.ends[0].queue, milliseconds(5));
  EXPECT_EQ(recorder.ends[0].prefill, milliseconds(4));
  EXPECT_EQ(recorder.ends[0].total, milliseconds(9));
  EXPECT_FALSE(recorder.ends[0].first_token.has_value());
}

}  // namespace
}  // namespace ssmd::testing
