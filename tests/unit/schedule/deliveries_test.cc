#include "engine/schedule/deliveries.h"

#include <gtest/gtest.h>

#include <thread>

#include "engine/schedule/output_stream.h"

namespace ssmd {
namespace {

TEST(Deliveries, TellAtOnceUntilTheyArePutOff) {
  Deliveries deliveries;
  int told = 0;
  deliveries.Tell([&] { ++told; });
  EXPECT_EQ(told, 1);
  deliveries.PutOff();
  deliveries.Tell([&] { ++told; });
  deliveries.Tell([&] { ++told; });
  EXPECT_EQ(told, 1);
  deliveries.Flush();
  EXPECT_EQ(told, 3);
  deliveries.Flush();
  EXPECT_EQ(told, 3);
}

TEST(Deliveries, AreInTheirOrderAndMayTellMore) {
  Deliveries deliveries;
  deliveries.PutOff();
  std::string order;
  deliveries.Tell([&] {
    order += 'a';
    deliveries.Tell([&] { order += 'c'; });
  });
  deliveries.Tell([&] { order += 'b'; });
  deliveries.Flush();
  EXPECT_EQ(order, "ab");
  deliveries.Flush();
  EXPECT_EQ(order, "abc");
}

TEST(Deliveries, OfOtherThreadsArePutOffByNobody) {
  Deliveries deliveries;
  deliveries.PutOff();
  int told = 0;
  deliveries.Tell([&] { told += 10; });
  std::thread([&] {
    deliveries.Tell([&] { ++told; });
    deliveries.Flush();  // not theirs
  }).join();
  EXPECT_EQ(told, 1);
  deliveries.Flush();
  EXPECT_EQ(told, 11);
}

TEST(OutputStream, TellsItsReaderWhenDeliveriesAreMadeAndHasTheEventBefore) {
  const auto deliveries = std::make_shared<Deliveries>();
  deliveries->PutOff();
  OutputStream stream(
      4, [] {}, deliveries);
  bool told = false;
  stream.NotifyWhenReady([&] { told = true; });
  stream.Push(ProgressEvent{1, 2});
  EXPECT_FALSE(told);
  EXPECT_TRUE(stream.Pop().has_value());
  deliveries->Flush();
  EXPECT_TRUE(told);

  told = false;
  stream.NotifyWhenReady([&] { told = true; });
  stream.Finish(absl::OkStatus());
  EXPECT_FALSE(told);
  deliveries->Flush();
  EXPECT_TRUE(told);
  EXPECT_TRUE(stream.status().has_value());
}

}  // namespace
}  // namespace ssmd
