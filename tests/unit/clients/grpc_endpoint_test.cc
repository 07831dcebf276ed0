#include "clients/bench/grpc_endpoint.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <utility>

#include "clients/bench/load.h"
#include "tests/unit/clients/fake_server.h"

namespace ssmd::bench {
namespace {

using client::DeltaOf;
using client::FakeServer;
using ::testing::SizeIs;

LoadReport LoadOverGrpc(const FakeServer& server, const LoadOptions& options,
                        const WorkloadOptions& workload_options) {
  EventLoop loop;
  const auto connection = client::Connect({.server = server.address()});
  AskOptions ask;
  ask.model = "tales";
  GrpcEndpoint endpoint(&loop, connection.value(), ask);
  const Workload workload(workload_options);
  Load load(&loop, &endpoint, &workload, options, [&] { loop.Stop(); });
  loop.Post([&] { load.Start(); });
  loop.Run();
  return load.report();
}

TEST(GrpcEndpoint, CountsWhatTheClientsSaw) {
  std::atomic<int> calls = 0;
  std::mutex mutex;
  std::set<uint64_t> seeds;
  FakeServer server([&](auto*, const v1::GenerateRequest& request, FakeServer::Writer* writer) {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      seeds.insert(request.sampling().seed());
    }
    EXPECT_EQ(request.text(), "Once");
    EXPECT_EQ(request.max_tokens(), 5);
    EXPECT_TRUE(request.stop().ignore_eos());
    if (++calls % 4 == 0) return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full");
    v1::GenerateResponse final;
    final.mutable_final()->mutable_usage()->set_generated_tokens(5);
    final.mutable_final()->mutable_usage()->set_prompt_tokens(3);
    for (const auto& event : {DeltaOf("a", 1), DeltaOf("b", 2), DeltaOf("c", 2), final}) {
      writer->Write(event);
    }
    return grpc::Status::OK;
  });
  LoadOptions options;
  options.streams = 3;
  options.requests = 20;
  options.duration = std::chrono::seconds(600);
  const LoadReport report =
      LoadOverGrpc(server, options, {.prompt = "Once", .max_tokens = Distribution(5), .seed = 100});
  EXPECT_EQ(report.succeeded, 15);
  EXPECT_EQ(report.errors, (std::map<std::string, int64_t>{{"RESOURCE_EXHAUSTED", 5}}));
  EXPECT_EQ(report.error_messages.at("RESOURCE_EXHAUSTED"), "full");
  EXPECT_EQ(report.generated_tokens, 75);
  EXPECT_EQ(report.prompt_tokens, 45);
  EXPECT_THAT(report.first_token_ms.kept(), SizeIs(15));
  EXPECT_THAT(report.inter_token_ms.kept(), SizeIs(15 * 4));
  EXPECT_THAT(report.total_ms.kept(), SizeIs(15));
  EXPECT_THAT(seeds, SizeIs(20));  // each request its own
}

TEST(GrpcEndpoint, ASessionThatCannotBeMadeIsAnErrorOfItsFirstTurn) {
  // The server knows no sessions.
  FakeServer server([](auto*, const auto&, FakeServer::Writer*) { return grpc::Status::OK; });
  LoadOptions options;
  options.requests = 2;
  options.duration = std::chrono::seconds(600);
  const LoadReport report =
      LoadOverGrpc(server, options, {.prompt = "Once", .turns = Distribution(2)});
  EXPECT_EQ(report.errors, (std::map<std::string, int64_t>{{"UNIMPLEMENTED", 2}}));
}

}  // namespace
}  // namespace ssmd::bench
