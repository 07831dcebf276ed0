// The load tool against the real daemon, over gRPC.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clients/bench/serve_run.h"
#include "tests/support/daemon.h"

namespace ssmd::test {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class ServeBenchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    daemon_ = Daemon::Start();
    ASSERT_NE(daemon_, nullptr);
    bench::ServerOptions server;
    server.connect.server = daemon_->grpc();
    options_.servers = {server};
    options_.workload.prompt = "Once upon a time";
    options_.workload.max_tokens = bench::Distribution(5);
    options_.load.streams = 3;
    options_.load.duration = std::chrono::seconds(600);
  }
  bench::LoadReport Run() {
    auto reports = bench::RunServe(options_);
    EXPECT_TRUE(reports.ok()) << reports.error().message;
    return reports.ok() ? reports.value()[0].Total() : bench::LoadReport();
  }

  std::unique_ptr<Daemon> daemon_;
  bench::ServeOptions options_;
};

TEST_F(ServeBenchTest, SingleRequestsInAnOpenLoop) {
  options_.load.requests = 12;
  options_.load.rate = 100;
  options_.load.arrivals = bench::Arrivals::Kind::kPoisson;
  const bench::LoadReport report = Run();
  EXPECT_EQ(report.succeeded, 12);
  EXPECT_EQ(report.generated_tokens, 60);
  EXPECT_THAT(report.errors, IsEmpty());
  EXPECT_THAT(report.first_token_ms.kept(), SizeIs(12));
}

TEST_F(ServeBenchTest, ConversationsAreSessionsThatAreGoneAfterwards) {
  options_.workload.conversations = {{"", {"Who are you?", "And where?", "Why?"}}, {"", {"Hm."}}};
  options_.load.requests = 8;
  const bench::LoadReport report = Run();
  EXPECT_EQ(report.succeeded, 8);
  EXPECT_THAT(report.errors, IsEmpty());
  EXPECT_THAT(report.first_token_by_turn, SizeIs(3));
  const auto sessions = daemon_->Connect()->ListSessions({});
  ASSERT_TRUE(sessions.ok());
  EXPECT_EQ(sessions.value().sessions_size(), 0);
}

}  // namespace
}  // namespace ssmd::test
