// See services.h.
#include "server/services.h"

#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "server/access/tenant_rates.h"
#include "server/blocking_pool.h"
#include "server/telemetry/log.h"

namespace ssmd::server {

void LogCall(const ServiceContext& services, const CallInfo& info, const absl::Status& status) {
  const LogLevel level = status.ok() ? LogLevel::kDebug : LogLevel::kInfo;
  if (!services.log->enabled(level)) return;
  const double ms = Seconds(std::chrono::steady_clock::now() - info.started_at) * 1e3;
  const std::string code = absl::StatusCodeToString(status.code());
  const std::string reason = ReasonOf(status);
  std::vector<LogField> fields = {{"method", std::string_view(info.method)},
                                  {"request_id", std::string_view(info.request_id)},
                                  {"tenant", std::string_view(info.caller.tenant)},
                                  {"status", std::string_view(code)},
                                  {"reason", std::string_view(reason)},
                                  {"total_ms", ms}};
  if (info.trace.has_value())
    fields.push_back({"trace_id", std::string_view(info.trace->trace_id)});
  services.log->Write(level, "call", fields);
}

absl::StatusOr<Admission::Ticket> AdmitWork(const ServiceContext& services, const Caller& caller) {
  SSMD_RETURN_IF_ERROR(services.rates->CheckTokens(caller));
  return services.admission->Enter(caller.tenant);
}

void PostBlocking(const ServiceContext& services, std::function<void()> work) {
  services.blocking->Post(std::move(work));
}

}  // namespace ssmd::server
