#include "engine/schedule/output_stream.h"

#include <gtest/gtest.h>

#include <thread>

#include "engine/schedule/waker.h"
#include "tests/unit/schedule/harness.h"

namespace ssmd {
namespace {

GenerateEvent Event(int number) {
  DeltaEvent delta;
  delta.choice = number;
  return delta;
}
int NumberOf(const GenerateEvent& event) { return std::get<DeltaEvent>(event).choice; }

class OutputStreamTest : public ::testing::Test {
 protected:
  int wakes_ = 0;
  OutputStream stream_{2, [this] { ++wakes_; }};
};

TEST_F(OutputStreamTest, GivesEventsInOrderAndTheStatusAfterThem) {
  stream_.Push(Event(1));
  stream_.Push(Event(2));
  stream_.Finish(absl::AbortedError("over"));
  EXPECT_FALSE(stream_.status().has_value());
  EXPECT_EQ(NumberOf(*stream_.Pop()), 1);
  EXPECT_EQ(NumberOf(*stream_.Pop()), 2);
  EXPECT_FALSE(stream_.Pop().has_value());
  EXPECT_EQ(stream_.status(), absl::AbortedError("over"));
}

TEST_F(OutputStreamTest, TakesMoreThanItsCapacityButSaysThatItIsFull) {
  stream_.Push(Event(1));
  EXPECT_FALSE(stream_.full());
  stream_.Push(Event(2));
  EXPECT_TRUE(stream_.full());
  stream_.Push(Event(3));
  EXPECT_TRUE(stream_.full());
}

TEST_F(OutputStreamTest, WakesTheProducerOnceWhenThereIsRoomAgain) {
  for (int i = 1; i <= 3; ++i) stream_.Push(Event(i));
  stream_.Pop();
  EXPECT_EQ(wakes_, 0) << "still full";
  stream_.Pop();
  EXPECT_EQ(wakes_, 1);
  stream_.Pop();
  EXPECT_EQ(wakes_, 1);
}

TEST_F(OutputStreamTest, AFinishedStreamWakesNobody) {
  stream_.Push(Event(1));
  stream_.Push(Event(2));
  stream_.Finish(absl::OkStatus());
  stream_.Pop();
  stream_.Cancel();
  EXPECT_EQ(wakes_, 0);
  EXPECT_FALSE(stream_.cancelled());
}

TEST_F(OutputStreamTest, CancelWakesTheProducerOnce) {
  stream_.Cancel();
  stream_.Cancel();
  EXPECT_TRUE(stream_.cancelled());
  EXPECT_EQ(wakes_, 1);
}

TEST_F(OutputStreamTest, OneThatIsCutGivesTheStatusOnlyAndCountsNoMore) {
  const auto push = [this] {
    DeltaEvent delta;
    delta.token_ids = {1, 2};
    stream_.Push(std::move(delta));
  };
  for (int i = 0; i < 3; ++i) push();
  stream_.Pop();
  stream_.NoteAccepted();
  stream_.Pop();
  stream_.Cut();
  stream_.NoteAccepted();
  EXPECT_EQ(stream_.accepted_tokens(), 2) << "the second was on its way";
  EXPECT_FALSE(stream_.Pop().has_value());
  stream_.Finish(absl::AbortedError("over"));
  EXPECT_EQ(stream_.status(), absl::AbortedError("over"));
}

TEST_F(OutputStreamTest, TellsTheReaderOnceByThePusherOrAtOnce) {
  int told = 0;
  stream_.NotifyWhenReady([&] { ++told; });
  EXPECT_EQ(told, 0);
  stream_.Push(Event(1));
  EXPECT_EQ(told, 1);
  stream_.Push(Event(2));
  EXPECT_EQ(told, 1);
  stream_.NotifyWhenReady([&] { ++told; });
  EXPECT_EQ(told, 2) << "events are there already";
}

TEST_F(OutputStreamTest, TellsTheReaderOfTheEnd) {
  int told = 0;
  stream_.NotifyWhenReady([&] { ++told; });
  stream_.Finish(absl::OkStatus());
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(stream_.status().has_value());
}

TEST_F(OutputStreamTest, AReaderMayReadWithinItsCallback) {
  int read = 0;
  stream_.NotifyWhenReady([&] { read = NumberOf(*stream_.Pop()); });
  stream_.Push(Event(7));
  EXPECT_EQ(read, 7);
}

TEST(OutputStreamThreads, NothingIsLostBetweenThem) {
  Waker waker;
  OutputStream stream(4, [&] { waker.Wake(); });
  std::thread producer([&] {
    for (int i = 0; i < 2000; ++i) {
      while (stream.full()) waker.Wait(std::nullopt);
      stream.Push(Event(i));
    }
    stream.Finish(absl::OkStatus());
  });
  int next = 0;
  while (!stream.status().has_value()) {
    testing::AwaitReady(&stream);
    while (auto event = stream.Pop()) EXPECT_EQ(NumberOf(*event), next++);
  }
  producer.join();
  EXPECT_EQ(next, 2000);
}

}  // namespace
}  // namespace ssmd
