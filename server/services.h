// What every call is served with, by gRPC or HTTP.
#ifndef SSMD_SERVER_SERVICES_H_
#define SSMD_SERVER_SERVICES_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "engine/engine.h"
#include "server/access/admission.h"
#include "server/access/tenants.h"
#include "server/limits.h"
#include "server/telemetry/trace_context.h"

namespace ssmd::server {

class BlockingPool;
class Log;
class Metrics;
class RefusalAudit;
class StreamWatch;
class TenantRates;
class Transfers;
class WorkQueue;

// What the services share. Nothing is owned; everything outlives both listeners.
struct ServiceContext {
  Engine* engine = nullptr;
  const Tenants* tenants = nullptr;
  TenantRates* rates = nullptr;
  RefusalAudit* audit = nullptr;
  Admission* admission = nullptr;
  Transfers* transfers = nullptr;
  WorkQueue* work = nullptr;
  BlockingPool* blocking = nullptr;
  StreamWatch* watch = nullptr;
  StreamWatch* idle = nullptr;  // of calls whose clients may take their time
  Metrics* metrics = nullptr;
  Log* log = nullptr;
  RequestLimits limits;
  bool state_dir = false;     // sessions outlive the process
  bool shared_store = false;  // sessions are also other replicas'
  TimePoint started_at;
  std::function<void()> drain;  // AdminService.Drain
  std::function<bool()> draining;
};

struct CallInfo {
  const char* method = "";  // "Generate"
  std::string request_id;
  std::optional<TraceContext> trace;  // of the caller
  std::string peer;                   // the caller's address, by gRPC
  Caller caller;
  TimePoint started_at;
};

// One line for a call that the engine does not report (all but accepted turns).
void LogCall(const ServiceContext& services, const CallInfo& info, const absl::Status& status);

// Before anything is computed for a caller: whether it has tokens left to use, and a place.
absl::StatusOr<Admission::Ticket> AdmitWork(const ServiceContext& services, const Caller& caller);

// Posts to the BlockingPool.
void PostBlocking(const ServiceContext& services, std::function<void()> work);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_SERVICES_H_
