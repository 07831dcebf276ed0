// The gRPC listener: the services of ssmd.v1, grpc.health.v1 (for "", every service and
// kLiveHealth) and server reflection, with its limits and TLS.
#ifndef SSMD_SERVER_GRPC_GRPC_SERVER_H_
#define SSMD_SERVER_GRPC_GRPC_SERVER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "server/access/listen_address.h"
#include "server/limits.h"
#include "server/options.h"

namespace ssmd::server {

class Certificates;
struct ServiceContext;

// What probes ask that decide whether to start the daemon anew: not whether it takes new turns.
inline constexpr char kLiveHealth[] = "live";

class GrpcServer {
 public:
  struct Config {
    ListenAddress listen;
    ServerLimits limits;
    const Certificates* certificates = nullptr;  // outlives the server; null: plaintext
  };
  // Serves from here on; health says NOT_SERVING until SetServing(true). `services` outlives it.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const Config& config,
                                                           const ServiceContext& services);
  // Breaks off what is still running.
  virtual ~GrpcServer() = default;

  virtual uint16_t port() const = 0;
  virtual void SetServing(bool serving) = 0;
  // Of the name "live" alone: a drain leaves it as it is.
  virtual void SetLive(bool live) = 0;
  // Takes no new calls, waits for those in progress until `deadline`, breaks off the rest, and
  // returns when all are gone. Idempotent.
  virtual void Shutdown(TimePoint deadline) = 0;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_GRPC_SERVER_H_
