// When work on streams is done, and in which order.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "kernels/cuda/simt.h"
#include "tests/simt/gpu_fixture.h"
#include "tests/simt/sanitizers.h"

namespace ssmd::simt {
namespace {

using kernels::cuda::Block;
using kernels::cuda::Event;
using kernels::cuda::Graph;
using kernels::cuda::Launch;
using kernels::cuda::Stream;

// Things that were done, each a digit.
struct Log {
  uint32_t count;
  int digits[7];
};

struct AppendDigit {
  static constexpr char kName[] = "append_digit";
  static constexpr int kThreads = 32;
  struct Args {
    Log* log;
    int digit;
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    if (block.thread() > 0) return;
    args.log->digits[kernels::cuda::AtomicAdd(&args.log->count, 1u)] = args.digit;
  }
};

class SimtStreams : public GpuTest {
 protected:
  OnGpu<Log> EmptyLog() {
    auto log = Upload(std::vector<Log>(1));
    stream().Synchronize();
    return log;
  }
  static void Append(Stream& on, Log* log, int digit) {
    Launch<AppendDigit>(on, {}, 32, {log, digit});
  }
  static int NumberOf(const Log& log) {
    int number = 0;
    for (uint32_t i = 0; i < log.count; ++i) number = 10 * number + log.digits[i];
    return number;
  }
  int Read(const Log* log) { return NumberOf(Download(log, 1)[0]); }
};

TEST_F(SimtStreams, DoesNothingUntilItIsWaitedFor) {
  const auto log = EmptyLog();
  Log host = {};
  Append(stream(), log.get(), 2);
  stream().CopyOut(&host, log.get(), sizeof(host));
  EXPECT_EQ(CountsSoFar().launches, 0);
  stream().Synchronize();
  EXPECT_EQ(NumberOf(host), 2);
}

TEST_F(SimtStreams, DoesThingsInTheirOrder) {
  const auto log = EmptyLog();
  for (int digit = 1; digit <= 6; ++digit) Append(stream(), log.get(), digit);
  EXPECT_EQ(Read(log.get()), 123456);
}

TEST_F(SimtStreams, TakesWhatIsNotPinnedAtTheCallAndReadsWhatIsLater) {
  if (kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer reports the mistake that is made here";
  const auto device = Allocate<int>(2);
  const auto pinned = AllocatePinned<int>(1);
  int pageable = 1;
  *pinned = 1;
  stream().CopyIn(device.get(), &pageable, sizeof(int));
  stream().CopyIn(device.get() + 1, pinned.get(), sizeof(int));
  pageable = 2;
  *pinned = 2;
  EXPECT_EQ(Download(device.get(), 2), (std::vector<int>{1, 2}));
}

TEST_F(SimtStreams, CopiesAndZeroesWithin) {
  const auto from = Upload(std::vector<int>{1, 2, 3, 4});
  const auto to = Allocate<int>(4);
  stream().CopyWithin(to.get() + 1, from.get(), 3 * sizeof(int));
  stream().Zero(to.get(), 2 * sizeof(int));
  EXPECT_EQ(Download(to.get(), 4), (std::vector<int>{0, 0, 2, 3}));
}

TEST_F(SimtStreams, OrderBetweenStreamsIsAnyUnlessTheyWait) {
  std::set<int> free_order, kept_order;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SetSeed(seed);
    Open();
    for (const bool waits : {false, true}) {
      const auto log = EmptyLog();
      const auto other = gpu().MakeStream();
      Append(stream(), log.get(), 1);
      if (waits) other->WaitFor(*stream().Record());
      Append(*other, log.get(), 2);
      other->Synchronize();
      stream().Synchronize();
      (waits ? kept_order : free_order).insert(Read(log.get()));
    }
  }
  EXPECT_EQ(free_order, (std::set<int>{12, 21}));
  EXPECT_EQ(kept_order, (std::set<int>{12}));
}

TEST_F(SimtStreams, AnEventPassesAfterWhatCameBefore) {
  const auto log = EmptyLog();
  Log host = {};
  Append(stream(), log.get(), 1);
  stream().CopyOut(&host, log.get(), sizeof(host));
  const std::unique_ptr<Event> event = stream().Record();
  Append(stream(), log.get(), 2);
  EXPECT_EQ(CountsSoFar().launches, 0);
  while (!event->Passed()) {
  }
  EXPECT_EQ(NumberOf(host), 1);
  EXPECT_EQ(Read(log.get()), 12);
}

TEST_F(SimtStreams, EventsKeepTheTimeAtWhichTheStreamCameToThem) {
  const auto log = EmptyLog();
  const std::unique_ptr<Event> first = stream().RecordTime();
  Append(stream(), log.get(), 2);
  const std::unique_ptr<Event> second = stream().RecordTime();
  EXPECT_GT(second->MillisecondsSince(*first), 0);
  EXPECT_LT(first->MillisecondsSince(*second), 0);
  EXPECT_EQ(Read(log.get()), 2) << "asking waits";

  FailLaunch(1, "broken");
  Append(stream(), log.get(), 3);
  stream().Synchronize();
  EXPECT_EQ(second->MillisecondsSince(*first), 0) << "the GPU has failed";
}

TEST_F(SimtStreams, WhatWasBegunIsDoneWhenAStreamIsDestroyed) {
  const auto log = EmptyLog();
  auto other = gpu().MakeStream();
  Append(*other, log.get(), 1);
  other.reset();
  EXPECT_EQ(Read(log.get()), 1);
}

TEST_F(SimtStreams, ARecordingIsDoneAtEachReplayAndNotBefore) {
  const auto log = EmptyLog();
  const auto pinned = AllocatePinned<int>(1);
  const auto copied = Allocate<int>(1);
  ASSERT_TRUE(stream().BeginRecording());
  EXPECT_FALSE(stream().BeginRecording());
  stream().CopyIn(copied.get(), pinned.get(), sizeof(int));
  Append(stream(), log.get(), 2);
  const std::unique_ptr<Graph> graph = stream().EndRecording();
  ASSERT_NE(graph, nullptr);
  EXPECT_EQ(Read(log.get()), 0);

  *pinned = 5;
  stream().Replay(*graph);
  EXPECT_EQ(Download(copied.get(), 1)[0], 5);
  *pinned = 6;
  stream().Replay(*graph);
  stream().Replay(*graph);
  EXPECT_EQ(Download(copied.get(), 1)[0], 6) << "contents are those of the replay";
  EXPECT_EQ(Read(log.get()), 222);
  EXPECT_EQ(CountsSoFar().replays, 3);
}

TEST_F(SimtStreams, AGraphMayGoBeforeItsReplayIsDone) {
  const auto log = EmptyLog();
  stream().BeginRecording();
  Append(stream(), log.get(), 2);
  std::unique_ptr<Graph> graph = stream().EndRecording();
  EXPECT_EQ(graph->size(), 1);
  stream().Replay(*graph);
  graph.reset();
  EXPECT_EQ(Read(log.get()), 2);
}

TEST_F(SimtStreams, ARecordingIsSpoiledByWhatCannotBeRepeated) {
  const auto value = Allocate<int>(1);
  const auto event = stream().Record();
  const int pageable = 1;
  const std::pair<const char*, std::function<void()>> spoilers[] = {
      {"waiting", [&] { stream().Synchronize(); }},
      {"an event", [&] { (void)stream().Record(); }},
      {"waiting for an event", [&] { stream().WaitFor(*event); }},
      {"a copy from memory that is not pinned",
       [&] { stream().CopyIn(value.get(), &pageable, sizeof(int)); }},
  };
  for (const auto& [name, spoil] : spoilers) {
    ASSERT_TRUE(stream().BeginRecording());
    spoil();
    EXPECT_EQ(stream().EndRecording(), nullptr) << name;
  }
  EXPECT_EQ(stream().EndRecording(), nullptr) << "nothing was begun";
  EXPECT_EQ(gpu().failure(), "");
}

}  // namespace
}  // namespace ssmd::simt
