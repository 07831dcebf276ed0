// See daemon.h.
#include "server/daemon.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/http/api/api_error.h"
#include "server/http/api/completion_routes.h"
#include "server/http/api/session_routes.h"
#include "server/http/ops_routes.h"
#include "server/http/web_routes.h"

namespace ssmd::server {
namespace {

// After the last turn ended: for its last bytes, and for calls that are answered at once.
constexpr std::chrono::milliseconds kFarewell(500);
// For giving sessions up to other replicas, at least.
constexpr std::chrono::seconds kHandOver(5);
// Of a replica, times --replica-farewell.
constexpr int kFarewellsAtMost = 3;
// Engine calls that wait at once. They share the log's writes.
constexpr int kBlockingThreads = 4;
// And some of them for sessions that are at other replicas, for seconds.
constexpr int kBlockingThreadsShared = 32;
constexpr std::chrono::seconds kHousekeeping(1);
constexpr std::chrono::seconds kHeap(5);
// What a reader that was too slow gets at least to learn it.
constexpr std::chrono::seconds kWakeUp(5);

ListenAddress AtPort(ListenAddress listen, uint16_t port) {
  listen.port = port;
  return listen;
}

// The log says more, which is not for everyone.
std::string KernelNote(const std::vector<kernels::FastKernelState>& kernels) {
  std::string names;
  for (const kernels::FastKernelState& kernel : kernels) {
    if (!kernel.off_because.empty())
      absl::StrAppend(&names, names.empty() ? "" : ", ", kernel.name);
  }
  if (names.empty()) return "";
  return absl::StrCat("fast kernels are off, the log says why: ", names);
}

}  // namespace

Daemon::Daemon(const Options& options, Engine* engine, const Shared& shared)
    : options_(options),
      engine_(engine),
      metrics_(shared.metrics),
      log_(shared.log),
      rates_(shared.rates),
      admission_(options.server.requests, options.server.tenant_requests),
      transfers_(options.engine.max_transfers),
      step_watch_(engine, options.server.step_time, &clock_),
      audit_(log_, metrics_, &clock_) {}

// No more calls; then whoever still works on one ends, and then what they worked with.
Daemon::~Daemon() {
  http_.reset();
  if (grpc_ != nullptr) grpc_->Shutdown(std::chrono::steady_clock::now());
  blocking_.reset();
}

absl::Status Daemon::CheckFiles(const Options& options) {
  SSMD_RETURN_IF_ERROR(Tenants::Open(options.token_file).status());
  return Certificates::Open(options.tls).status();
}

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const Options& options, Engine* engine,
                                                      const Shared& shared) {
  std::unique_ptr<Daemon> daemon(new Daemon(options, engine, shared));
  SSMD_RETURN_IF_ERROR(daemon->Open());
  return daemon;
}

absl::Status Daemon::Open() {
  SSMD_ASSIGN_OR_RETURN(tenants_, Tenants::Open(options_.token_file));
  SSMD_ASSIGN_OR_RETURN(certificates_, Certificates::Open(options_.tls));
  work_ = std::make_unique<WorkQueue>();
  blocking_ = std::make_unique<BlockingPool>(options_.replica.shared() ? kBlockingThreadsShared
                                                                       : kBlockingThreads);
  services_.engine = engine_;
  services_.tenants = tenants_.get();
  services_.rates = rates_;
  services_.audit = &audit_;
  services_.admission = &admission_;
  services_.transfers = &transfers_;
  services_.work = work_.get();
  services_.blocking = blocking_.get();
  services_.watch = &watch_;
  services_.idle = &idle_;
  services_.metrics = metrics_;
  services_.log = log_;
  services_.limits = options_.request;
  services_.state_dir = !options_.state_dir.path.empty();
  services_.shared_store = options_.replica.shared();
  services_.started_at = std::chrono::steady_clock::now();
  services_.drain = [this] { Drain(); };
  services_.draining = [this] { return draining(); };

  router_ = std::make_unique<Router>(
      tenants_.get(), Router::Config{options_.http_hosts, options_.http_origins, rates_, &audit_});
  OpsRoutes ops;
  ops.metrics = [this] {
    return metrics_->Scrape(
        engine_->Stats(), engine_->Figures(),
        {ready(), draining(), !engine_->device_failure().empty(), ResidentBytes()});
  };
  ops.alive = [this] { return alive(); };
  ops.ready = [this] { return ready(); };
  ops.note = [this] { return KernelNote(engine_->Figures().fast_kernels); };
  ops.metrics_open = IsLoopbackHost(options_.http_listen.host);
  AddOpsRoutes(ops, router_.get());
  router_->RefuseBelow("/v1/", &ApiRefusal);
  AddCompletionRoutes(services_, router_.get());
  AddSessionRoutes(services_, router_.get());
  AddWebRoutes(options_.playground, router_.get());

  SSMD_ASSIGN_OR_RETURN(
      http_, HttpServer::Start({options_.http_listen, options_.server, certificates_.get()},
                               router_.get()));
  SSMD_ASSIGN_OR_RETURN(
      grpc_,
      GrpcServer::Start({options_.grpc_listen, options_.server, certificates_.get()}, services_));
  housekeeper_ = std::make_unique<Housekeeper>(engine_, log_, kHousekeeping, &clock_);
  MutexLock lock(&mutex_);
  serving_ = grpc_.get();
  serving_->SetServing(!draining_);
  return absl::OkStatus();
}

bool Daemon::ready() const {
  MutexLock lock(&mutex_);
  return serving_ != nullptr && !draining_ && !refused_ && engine_->device_failure().empty();
}

bool Daemon::alive() const {
  MutexLock lock(&mutex_);
  return alive_;
}

bool Daemon::draining() const {
  MutexLock lock(&mutex_);
  return draining_;
}

ListenAddress Daemon::grpc_listen() const { return AtPort(options_.grpc_listen, grpc_->port()); }

ListenAddress Daemon::http_listen() const { return AtPort(options_.http_listen, http_->port()); }

void Daemon::LogKernels() {
  for (const kernels::FastKernelState& kernel : engine_->Figures().fast_kernels) {
    if (kernel.off_because.empty() || !kernels_said_off_.insert(kernel.name).second) continue;
    log_->Write(LogLevel::kWarn, "fast_kernels_off",
                {{"kernel", std::string_view(kernel.name)},
                 {"message", std::string_view(kernel.off_because)}});
  }
}

void Daemon::WatchSteps() {
  const bool alive = step_watch_.Alive();
  {
    MutexLock lock(&mutex_);
    if (alive == alive_) return;
    alive_ = alive;
    if (serving_ != nullptr) serving_->SetLive(alive);
  }
  log_->Write(alive ? LogLevel::kInfo : LogLevel::kError, alive ? "steps_go_on" : "step_stuck",
              {{"max_step_time_s", Seconds(options_.server.step_time)}});
}

// Whoever was started again after a crash is refused until what ended so is forgotten.
void Daemon::WatchReplica() {
  const std::optional<SharingFigures> sharing = engine_->Figures().sharing;
  const bool refused = sharing.has_value() && sharing->refused > options_.replica.limits.presence;
  MutexLock lock(&mutex_);
  if (refused == refused_) return;
  refused_ = refused;
  if (serving_ != nullptr && !draining_) serving_->SetServing(!refused);
}

void Daemon::LogReload(const char* what, const absl::Status& status, bool reloaded) {
  if (!status.ok()) {
    const std::string message =
        absl::StrCat(status.message(), "; what was read before stays in use");
    log_->Write(LogLevel::kError, absl::StrCat(what, "_refused"),
                {{"message", std::string_view(message)}});
  } else if (reloaded) {
    log_->Write(LogLevel::kInfo, absl::StrCat(what, "_reloaded"), {});
  }
}

bool Daemon::Tick() {
  LogKernels();
  WatchSteps();
  WatchReplica();
  if (const TimePoint now = clock_.Now(); now - heap_looked_at_ > kHeap) {
    heap_looked_at_ = now;
    heap_.Look();
  }
  bool reloaded = false;
  absl::Status polled = tenants_->Poll(&reloaded);
  LogReload("token_file", polled, reloaded);
  polled = certificates_->Poll(&reloaded);
  LogReload("tls_files", polled, reloaded);
  audit_.Tick();
  // Later than the engine ends the turn, so that a reader that wakes up in between learns why.
  const Duration timeout = options_.server.slow_reader_timeout;
  const Duration patience = timeout + std::max<Duration>(timeout / 2, kWakeUp);
  const int stuck = watch_.CancelStuck(std::chrono::steady_clock::now() - patience);
  if (stuck > 0) {
    log_->Write(LogLevel::kWarn, "stuck_readers_cut_off", {{"calls", int64_t{stuck}}});
  }
  return engine_->device_failure().empty();
}

void Daemon::Drain() {
  {
    MutexLock lock(&mutex_);
    if (draining_) return;
    draining_ = true;
    if (serving_ != nullptr) serving_->SetServing(false);
  }
  log_->Write(LogLevel::kInfo, "draining", {});
  engine_->Drain();
  // Nothing of theirs is under way, and nobody would end them.
  idle_.CancelStuck(TimePoint::max());
}

void Daemon::LeaveReplicas(TimePoint deadline) {
  // Turns may have taken all of the time; others wait for their sessions.
  const TimePoint latest =
      std::max(deadline, std::chrono::steady_clock::now() + TimePoint::duration(kHandOver));
  if (const absl::Status status = engine_->LeaveReplicas(latest); !status.ok()) {
    // They are taken over as of what was written before.
    const std::string message(status.message());
    log_->Write(LogLevel::kWarn, "sessions_not_given_up", {{"message", std::string_view(message)}});
  }
}

bool Daemon::Stop() {
  Drain();
  const TimePoint deadline = std::chrono::steady_clock::now() + options_.server.drain_timeout;
  const bool finished = admission_.WaitIdle(deadline);
  if (!finished) {
    log_->Write(LogLevel::kWarn, "drain_timeout", {{"calls", int64_t{admission_.active()}}});
  }
  // Those that do not end hold their sessions until they are cut off. Otherwise whoever still comes
  // here is told to go elsewhere, where the sessions are by now, for as long as anybody comes: gRPC
  // would cancel what reaches it while it closes, and no caller knows what that means.
  if (finished && options_.replica.shared()) {
    LeaveReplicas(deadline);
    const Duration quiet = options_.replica.farewell;
    admission_.WaitQuiet(quiet, std::chrono::steady_clock::now() + kFarewellsAtMost * quiet);
  }
  grpc_->Shutdown(std::chrono::steady_clock::now() + kFarewell);
  housekeeper_->Stop();
  if (!finished) LeaveReplicas(deadline);
  if (const absl::Status status = engine_->StoreAll(deadline); !status.ok()) {
    // Nothing is lost: the next start reads again what was not stored.
    const std::string message(status.message());
    log_->Write(LogLevel::kWarn, "states_not_stored", {{"message", std::string_view(message)}});
  }
  return finished;
}

}  // namespace ssmd::server
