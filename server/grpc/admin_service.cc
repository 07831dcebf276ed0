// See admin_service.h.
#include "server/grpc/admin_service.h"

#include <unistd.h>

#include <fstream>

#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "server/telemetry/metrics.h"

namespace ssmd::server {
namespace {

absl::Status RequireAdmin(const Caller& caller) {
  if (caller.admin) return absl::OkStatus();
  return WithReason(
      absl::PermissionDeniedError("this call is for administrators: use a token with the admin "
                                  "role, or the loopback where the server has no tokens"),
      reason::kPermissionDenied);
}

// Memory of the process that is in RAM; 0 where the system does not tell.
int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total_pages = 0;
  int64_t resident_pages = 0;
  if (!(statm >> total_pages >> resident_pages)) return 0;
  return resident_pages * sysconf(_SC_PAGESIZE);
}

}  // namespace

grpc::ServerUnaryReactor* AdminService::Drain(grpc::CallbackServerContext* context,
                                              const grpc::ByteBuffer* request,
                                              grpc::ByteBuffer* response) {
  return ServeUnary<v1::DrainRequest, v1::DrainResponse>(
      services_, "Drain", context, request, response,
      [this](const CallInfo& info, const v1::DrainRequest& /*in*/, v1::DrainResponse* out) {
        SSMD_RETURN_IF_ERROR(RequireAdmin(info.caller));
        services_.drain();
        int remaining = 0;
        for (const ModelStats& stats : services_.engine->Stats()) {
          remaining += stats.running + stats.waiting;
        }
        out->set_remaining(remaining);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* AdminService::GetStats(grpc::CallbackServerContext* context,
                                                 const grpc::ByteBuffer* request,
                                                 grpc::ByteBuffer* response) {
  return ServeUnary<v1::GetStatsRequest, v1::GetStatsResponse>(
      services_, "GetStats", context, request, response,
      [this](const CallInfo& info, const v1::GetStatsRequest& /*in*/, v1::GetStatsResponse* out) {
        SSMD_RETURN_IF_ERROR(RequireAdmin(info.caller));
        out->set_uptime_seconds(Seconds(std::chrono::steady_clock::now() - services_.started_at));
        out->set_resident_bytes(ResidentBytes());
        out->set_draining(services_.draining());
        for (const ModelStats& stats : services_.engine->Stats()) {
          v1::ModelStats* model = out->add_models();
          ToProto(stats, model);
          ToProto(services_.metrics->Latencies(stats.model), model);
        }
        if (services_.state_dir) ToProto(services_.engine->Figures(), out->mutable_state_dir());
        return absl::OkStatus();
      });
}

}  // namespace ssmd::server
