#include "clients/bench/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>

#include "clients/bench/percentiles.h"
#include "tests/unit/clients/fake_server.h"

namespace ssmd::bench {
namespace {

using client::DeltaOf;
using client::FakeServer;
using ::testing::SizeIs;

TEST(Percentiles, AreNearestRanks) {
  std::vector<double> values;
  for (int i = 100; i >= 1; --i) values.push_back(i);
  const Percentiles result = PercentilesOf(values);
  EXPECT_DOUBLE_EQ(result.mean, 50.5);
  EXPECT_EQ(result.p50, 50);
  EXPECT_EQ(result.p90, 90);
  EXPECT_EQ(result.p99, 99);
  EXPECT_EQ(result.max, 100);
}

TEST(Percentiles, OfOneAndOfNone) {
  EXPECT_EQ(PercentilesOf({3}).p50, 3);
  EXPECT_EQ(PercentilesOf({3}).p99, 3);
  EXPECT_EQ(PercentilesOf({}).max, 0);
}

// Three messages of 1, 2 and 2 tokens.
grpc::Status Answer(FakeServer::Writer* writer) {
  v1::GenerateResponse final;
  final.mutable_final()->mutable_usage()->set_generated_tokens(5);
  final.mutable_final()->mutable_usage()->set_prompt_tokens(3);
  for (const auto& event : {DeltaOf("a", 1), DeltaOf("b", 2), DeltaOf("c", 2), final}) {
    writer->Write(event);
  }
  return grpc::Status::OK;
}

TEST(Load, CountsWhatTheClientsSaw) {
  std::atomic<int> calls = 0;
  std::mutex mutex;
  std::set<uint64_t> seeds;
  FakeServer server([&](auto*, const v1::GenerateRequest& request, FakeServer::Writer* writer) {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      seeds.insert(request.sampling().seed());
    }
    if (++calls % 4 == 0) return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full");
    return Answer(writer);
  });
  LoadOptions options;
  options.streams = 3;
  options.requests = 20;
  options.duration = std::chrono::seconds(60);
  options.request.mutable_sampling()->set_seed(100);
  const auto client = server.Connect();
  const LoadReport report = RunLoad(client.get(), options);
  EXPECT_EQ(report.succeeded, 15);
  EXPECT_EQ(report.errors, (std::map<std::string, int64_t>{{"RESOURCE_EXHAUSTED", 5}}));
  EXPECT_EQ(report.generated_tokens, 75);
  EXPECT_EQ(report.prompt_tokens, 45);
  EXPECT_THAT(report.first_token_ms, SizeIs(15));
  EXPECT_THAT(report.inter_token_ms, SizeIs(15 * 4));
  EXPECT_THAT(report.total_ms, SizeIs(15));
  EXPECT_THAT(seeds, SizeIs(20));  // each request its own
}

TEST(Load, AnOpenLoopStartsWhatIsDueInItsTime) {
  FakeServer server([&](auto*, const auto&, FakeServer::Writer* writer) { return Answer(writer); });
  LoadOptions options;
  options.streams = 4;
  options.rate = 50;
  options.duration = std::chrono::seconds(1);
  const auto client = server.Connect();
  const LoadReport report = RunLoad(client.get(), options);
  EXPECT_EQ(report.succeeded, 50);
  EXPECT_GE(report.seconds, 0.9);
}

}  // namespace
}  // namespace ssmd::bench
