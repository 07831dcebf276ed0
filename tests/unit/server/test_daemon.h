// A real daemon (gRPC and HTTP on free ports of the loopback) around a FakeEngine, and a client.
#ifndef SSMD_TESTS_UNIT_SERVER_TEST_DAEMON_H_
#define SSMD_TESTS_UNIT_SERVER_TEST_DAEMON_H_

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include "server/daemon.h"
#include "ssmd/v1/generation.grpc.pb.h"
#include "tests/unit/server/fake_engine.h"

namespace ssmd::server {

// A client whose flow-control window is small and does not grow, so that a test need not send
// megabytes to fill it.
inline grpc::ChannelArguments SmallWindow() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 65535);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  return arguments;
}

class TestDaemon {
 public:
  explicit TestDaemon(Options options = {})
      : log_(LogLevel::kDebug, LogFormat::kText,
             std::make_shared<spdlog::sinks::ostream_sink_mt>(log_text_)),
        metrics_({"m"}),
        rates_({static_cast<double>(options.server.tenant_rate),
                static_cast<double>(options.server.tenant_tokens_per_minute)},
               &rate_clock_) {
    options.grpc_listen.port = 0;
    options.http_listen.port = 0;
    auto daemon = Daemon::Start(options, &engine_, {&metrics_, &log_, &rates_});
    if (!daemon.ok()) ADD_FAILURE() << daemon.status();
    daemon_ = *std::move(daemon);
  }

  FakeEngine& engine() { return engine_; }
  Metrics& metrics() { return metrics_; }
  TenantRates& rates() { return rates_; }
  FakeClock& rate_clock() { return rate_clock_; }
  Daemon& daemon() { return *daemon_; }
  std::string Scrape() { return metrics_.Scrape({}, {}, {}); }
  // Ends the daemon and returns all that it logged.
  std::string End() {
    daemon_.reset();
    return log_text_.str();
  }

  std::shared_ptr<grpc::Channel> Channel(grpc::ChannelArguments arguments = {}) const {
    // Each has a connection of its own: channels with equal arguments would share one.
    arguments.SetInt("grpc.use_local_subchannel_pool", 1);
    return grpc::CreateCustomChannel(daemon_->grpc_address(), grpc::InsecureChannelCredentials(),
                                     arguments);
  }

 private:
  std::ostringstream log_text_;
  Log log_;
  Metrics metrics_;
  FakeClock rate_clock_;
  TenantRates rates_;
  FakeEngine engine_;
  std::unique_ptr<Daemon> daemon_;
};

}  // namespace ssmd::server

#endif  // SSMD_TESTS_UNIT_SERVER_TEST_DAEMON_H_
