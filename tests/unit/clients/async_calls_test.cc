#include "clients/bench/async_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "tests/unit/clients/fake_server.h"

namespace ssmd::bench {
namespace {

using client::DeltaOf;
using client::FakeServer;
using ::testing::Each;
using ::testing::Gt;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(AsyncCalls, CountWhatBecameOfThem) {
  std::atomic<int> calls = 0;
  FakeServer server([&](auto*, const auto&, FakeServer::Writer* writer) {
    switch (++calls % 4) {
      case 0:
        return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full");
      case 1:
        writer->Write(DeltaOf("a", 1));
        return grpc::Status(grpc::StatusCode::INTERNAL, "broken");
      default:
        for (const int tokens : {1, 2, 2}) writer->Write(DeltaOf("a", tokens));
        return grpc::Status::OK;
    }
  });
  AsyncCalls load(server.address(), 3);
  for (int i = 0; i < 40; ++i) load.Start({});
  load.WaitForAll();
  const CallReport report = load.TakeReport();
  EXPECT_EQ(report.started, 40);
  EXPECT_EQ(report.succeeded, 20);
  EXPECT_EQ(report.tokens, 100);
  EXPECT_EQ(report.errors,
            (std::map<std::string, int64_t>{{"INTERNAL", 10}, {"RESOURCE_EXHAUSTED", 10}}));
  EXPECT_THAT(report.first_token_ms, SizeIs(20));
  EXPECT_THAT(report.inter_token_ms, SizeIs(20 * 4));
  EXPECT_THAT(report.refused_ms, SizeIs(10));
  EXPECT_THAT(report.refused_ms, Each(Gt(0)));
  EXPECT_EQ(load.TakeReport().started, 0);
}

TEST(AsyncCalls, AnEndMayStartTheNext) {
  FakeServer server([](auto*, const auto&, FakeServer::Writer* writer) {
    writer->Write(DeltaOf("a", 1));
    return grpc::Status::OK;
  });
  AsyncCalls load(server.address(), 1);
  std::atomic<int> left = 7;
  load.SetOnEnd([&] {
    if (left-- > 0) load.Start({});
  });
  load.Start({});
  load.WaitForAll();
  EXPECT_EQ(load.TakeReport().succeeded, 8);
}

TEST(AsyncCalls, AServerThatIsNotThereIsAnError) {
  AsyncCalls load("127.0.0.1:1", 1);
  load.Start({});
  load.WaitForAll();
  const CallReport report = load.TakeReport();
  EXPECT_EQ(report.errors, (std::map<std::string, int64_t>{{"UNAVAILABLE", 1}}));
  EXPECT_THAT(report.refused_ms, IsEmpty());
}

}  // namespace
}  // namespace ssmd::bench
