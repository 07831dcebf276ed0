// A daemon in this process with the real engine, and its callers' ends of both listeners.
#ifndef SSMD_TESTS_TRUST_TRUST_DAEMON_H_
#define SSMD_TESTS_TRUST_TRUST_DAEMON_H_

#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "server/daemon.h"
#include "server/telemetry/engine_observer.h"

namespace ssmd::trust {

class TrustDaemon {
 public:
  // Serves the model in `path` as "m". The log is kept, from `level` up.
  TrustDaemon(const std::string& path, server::Options options, server::LogLevel level);

  server::Daemon& daemon() { return *daemon_; }
  Engine& engine() { return *engine_; }
  std::shared_ptr<grpc::Channel> channel() const { return channel_; }
  std::string Scrape() { return metrics_.Scrape({}, {}, {}); }
  std::string LogSoFar() const { return log_text_.str(); }

 private:
  std::ostringstream log_text_;
  server::Log log_;
  server::Metrics metrics_;
  const SteadyClock clock_;
  server::TenantRates rates_;
  server::EngineObserver observer_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<server::Daemon> daemon_;
  std::shared_ptr<grpc::Channel> channel_;
};

// All that a gRPC caller gets to see.
struct GrpcAnswer {
  int code = 0;
  std::string message;
  std::string details;
  std::multimap<std::string, std::string> metadata;  // initial and trailing
  std::vector<std::string> responses;                // serialised
};
// Sends `request`, serialised, and the end; reads to the end, but for a method that has none (of
// which the first response will do). `authorizations`: metadata, as many as there are.
GrpcAnswer CallGrpc(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                    const std::string& request, const std::vector<std::string>& authorizations,
                    bool endless = false);

struct HttpReply {
  int status = 0;
  std::multimap<std::string, std::string> headers;  // names in lower case
  std::string body;
};
// One connection that is kept alive.
class HttpCaller {
 public:
  explicit HttpCaller(const std::string& address);
  ~HttpCaller();
  // `type` of the body; empty: none.
  HttpReply Ask(const std::string& method, const std::string& target, const std::string& type,
                const std::string& body, const std::vector<std::string>& authorizations);

 private:
  struct Connection;
  const std::string address_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace ssmd::trust

#endif  // SSMD_TESTS_TRUST_TRUST_DAEMON_H_
