// The daemon around an engine: listeners, access, telemetry, and the way down.
#ifndef SSMD_SERVER_DAEMON_H_
#define SSMD_SERVER_DAEMON_H_

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/mutex.h"
#include "server/access/admission.h"
#include "server/access/certificates.h"
#include "server/access/refusal_audit.h"
#include "server/access/tenant_rates.h"
#include "server/access/tenants.h"
#include "server/access/transfers.h"
#include "server/blocking_pool.h"
#include "server/grpc/call.h"
#include "server/grpc/grpc_server.h"
#include "server/grpc/stream_watch.h"
#include "server/heap_trim.h"
#include "server/housekeeper.h"
#include "server/http/http_server.h"
#include "server/http/router.h"
#include "server/options.h"
#include "server/step_watch.h"
#include "server/telemetry/log.h"
#include "server/telemetry/metrics.h"
#include "server/work_queue.h"

namespace ssmd::server {

class Daemon {
 public:
  // Whether the files that the options name, but for the models', can be read and make sense: to be
  // asked before a model is loaded for minutes.
  static absl::Status CheckFiles(const Options& options);
  // What the engine's observer has a part of, too.
  struct Shared {
    Metrics* metrics = nullptr;
    Log* log = nullptr;
    TenantRates* rates = nullptr;
  };
  // Serves from here on. Everything that is pointed to outlives the daemon.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(const Options& options, Engine* engine,
                                                       const Shared& shared);
  // Breaks off what is still running.
  ~Daemon();

  // With the ports that they got.
  ListenAddress grpc_listen() const;
  ListenAddress http_listen() const;
  // As a client on this machine reaches them.
  std::string grpc_address() const { return grpc_listen().ToReachable(); }
  std::string http_address() const { return http_listen().ToReachable(); }

  // To be called now and then (every second or so), by one thread: notices changed token and TLS
  // files, kernels that are off and a step that does not end, gives free memory back, and breaks
  // off calls that are stuck. False once the device has failed: it is time to Stop.
  bool Tick();
  // False while a step takes longer than it may, by the latest Tick. Thread-safe.
  bool alive() const;
  // Thread-safe.
  bool draining() const;
  const std::vector<Router::Route>& http_routes() const { return router_->routes(); }

  // Not ready; new turns are refused; those accepted go on. Thread-safe, irreversible, returns at
  // once.
  void Drain();
  // Drains, waits for turns until the drain timeout, breaks off the rest and closes the listeners;
  // then stores states for as long as is left of that time. True when every turn ended by itself.
  bool Stop();

 private:
  Daemon(const Options& options, Engine* engine, const Shared& shared);
  absl::Status Open();
  void LogKernels();
  // What a reload came to: `what` is the event's name up to "_reloaded" or "_refused".
  void LeaveReplicas(TimePoint deadline);
  void LogReload(const char* what, const absl::Status& status, bool reloaded);
  void WatchSteps();
  // One that another process has been present as for too long is not ready.
  void WatchReplica();
  bool ready() const;

  const Options options_;
  const SteadyClock clock_;
  Engine* const engine_;
  Metrics* const metrics_;
  Log* const log_;
  TenantRates* const rates_;
  mutable Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool alive_ ABSL_GUARDED_BY(mutex_) = true;
  bool refused_ ABSL_GUARDED_BY(mutex_) = false;  // by the shared store
  // Null until the gRPC listener is set up; its calls can come (and drain) before that.
  GrpcServer* serving_ ABSL_GUARDED_BY(mutex_) = nullptr;
  Admission admission_;
  Transfers transfers_;
  StreamWatch watch_;
  StreamWatch idle_;
  std::set<std::string> kernels_said_off_;  // of Tick's thread, as what follows
  StepWatch step_watch_;
  HeapTrim heap_;
  TimePoint heap_looked_at_{};
  std::unique_ptr<Tenants> tenants_;
  std::unique_ptr<Certificates> certificates_;
  RefusalAudit audit_;
  std::unique_ptr<Router> router_;
  ServiceContext services_;
  // The order of these is the order of their ends: first nobody calls any more, then what was
  // posted is done.
  std::unique_ptr<WorkQueue> work_;
  std::unique_ptr<BlockingPool> blocking_;  // posts to work_
  std::unique_ptr<Housekeeper> housekeeper_;
  std::unique_ptr<GrpcServer> grpc_;
  std::unique_ptr<HttpServer> http_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_DAEMON_H_
