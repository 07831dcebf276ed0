// See admin_service.h.
#include "server/grpc/admin_service.h"

#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "server/access/refusal_audit.h"
#include "server/telemetry/metrics.h"

namespace ssmd::server {
namespace {

absl::Status RequireAdmin(const ServiceContext& services, const CallInfo& info) {
  if (info.caller.admin) return absl::OkStatus();
  services.audit->Refused(info.peer, info.method, CredentialFault::kNotAdmin, info.caller.tenant);
  return WithReason(
      absl::PermissionDeniedError("this call is for administrators: use a token with the admin "
                                  "role, or the loopback where the server has no tokens"),
      reason::kPermissionDenied);
}

}  // namespace

grpc::ServerUnaryReactor* AdminService::Drain(grpc::CallbackServerContext* context,
                                              const grpc::ByteBuffer* request,
                                              grpc::ByteBuffer* response) {
  return ServeUnary<v1::DrainRequest, v1::DrainResponse>(
      services_, "Drain", context, request, response,
      [this](const CallInfo& info, const v1::DrainRequest& /*in*/, v1::DrainResponse* out) {
        SSMD_RETURN_IF_ERROR(RequireAdmin(services_, info));
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
        SSMD_RETURN_IF_ERROR(RequireAdmin(services_, info));
        out->set_uptime_seconds(Seconds(std::chrono::steady_clock::now() - services_.started_at));
        out->set_resident_bytes(ResidentBytes());
        out->set_draining(services_.draining());
        for (const ModelStats& stats : services_.engine->Stats()) {
          v1::ModelStats* model = out->add_models();
          ToProto(stats, model);
          ToProto(services_.metrics->Observations(stats.model), model);
        }
        const EngineFigures figures = services_.engine->Figures();
        if (services_.state_dir) ToProto(figures, out->mutable_state_dir());
        out->set_device_failure(services_.engine->device_failure());
        for (const kernels::FastKernelState& kernel : figures.fast_kernels) {
          if (!kernel.off_because.empty()) out->add_kernels_off(kernel.name);
        }
        return absl::OkStatus();
      });
}

}  // namespace ssmd::server
