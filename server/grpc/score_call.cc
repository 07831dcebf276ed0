// See score_call.h.
#include "server/grpc/score_call.h"

#include <memory>
#include <thread>
#include <utility>

#include "engine/base/status_macros.h"
#include "server/telemetry/metrics.h"
#include "server/work_queue.h"

namespace ssmd::server {

grpc::ServerUnaryReactor* ScoreCall::Start(const ServiceContext& services,
                                           grpc::CallbackServerContext* context,
                                           const grpc::ByteBuffer& request,
                                           grpc::ByteBuffer* response) {
  auto* call = new ScoreCall(services, context, response);
  if (const absl::Status status = call->Begin(request); !status.ok()) {
    services.metrics->CountRefused(call->model_, status);
    LogCall(services, call->info_, status);
    call->Finish(ToGrpc(status, context));
  }
  return call;
}

absl::Status ScoreCall::Begin(const grpc::ByteBuffer& bytes) {
  SSMD_RETURN_IF_ERROR(BeginCall(services_, "Score", context_, &info_));
  v1::ScoreRequest message;
  SSMD_RETURN_IF_ERROR(ParseMessage(bytes, &message));
  model_ = message.model();
  SSMD_ASSIGN_OR_RETURN(ScoreRequest request, FromProto(message, services_.limits));
  SSMD_ASSIGN_OR_RETURN(ticket_, services_.admission->Enter(info_.caller.tenant));
  request.tenant = info_.caller.tenant;
  request.deadline = DeadlineOf(*context_);
  cancel_ = services_.engine->Score(
      std::move(request), info_.request_id,
      [this, caller = std::this_thread::get_id()](absl::StatusOr<ScoreResult> result) {
        // An answer on this thread came at once: a refusal. Others come from the step thread.
        const bool refused = std::this_thread::get_id() == caller;
        // Shared, because a std::function must be copyable.
        auto shared = std::make_shared<absl::StatusOr<ScoreResult>>(std::move(result));
        services_.work->Post([this, shared, refused] { Answer(*shared, refused); });
      });
  return absl::OkStatus();
}

void ScoreCall::Answer(const absl::StatusOr<ScoreResult>& result, bool refused) {
  absl::Status status = result.status();
  if (status.ok()) {
    v1::ScoreResponse response;
    ToProto(
        *result, [this](int32_t id) { return services_.engine->TokenBytes(model_, id); },
        &response);
    status = SerializeMessage(response, response_);
  }
  if (refused) {
    services_.metrics->CountRefused(model_, status);
    LogCall(services_, info_, status);
  }
  Finish(ToGrpc(status, context_));
}

void ScoreCall::OnCancel() {
  if (cancel_) cancel_();
}

void ScoreCall::OnDone() { delete this; }

}  // namespace ssmd::server
