// See create_session_call.h.
#include "server/grpc/create_session_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "server/work_queue.h"

namespace ssmd::server {
namespace {

absl::StatusOr<SessionInfo> ForkOne(Engine* engine, const std::string& tenant,
                                    const std::string& model, const std::string& parent_id,
                                    const ForkOptions& options) {
  if (!model.empty()) {  // of which a session never changes
    SSMD_ASSIGN_OR_RETURN(const SessionInfo parent, engine->GetSession(tenant, parent_id));
    if (parent.model != model) {
      return WithReason(
          absl::InvalidArgumentError(absl::StrCat(
              "model is \"", model, "\", but the session is of \"", parent.model, "\"")),
          reason::kInvalidField);
    }
  }
  SSMD_ASSIGN_OR_RETURN(std::vector<SessionInfo> children,
                        engine->ForkSession(tenant, parent_id, options));
  if (children.size() != 1) return absl::InternalError("a fork gave other than one session");
  return std::move(children.front());
}

}  // namespace

grpc::ServerUnaryReactor* CreateSessionCall::Start(const ServiceContext& services,
                                                   grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer& request,
                                                   grpc::ByteBuffer* response) {
  auto* call = new CreateSessionCall(services, context, response);
  if (const absl::Status status = call->Begin(request); !status.ok()) call->Answer(status);
  return call;
}

absl::Status CreateSessionCall::Begin(const grpc::ByteBuffer& bytes) {
  SSMD_RETURN_IF_ERROR(BeginCall(services_, "CreateSession", context_, &info_));
  v1::CreateSessionRequest message;
  SSMD_RETURN_IF_ERROR(ParseMessage(bytes, &message));
  SSMD_ASSIGN_OR_RETURN(CreateSessionRequest request, FromProto(message, services_.limits));
  if (message.has_fork()) {
    const v1::ForkSessionRequest fork = AsFork(message);
    SSMD_ASSIGN_OR_RETURN(ForkOptions options, FromProto(fork, services_.limits));
    SSMD_ASSIGN_OR_RETURN(ticket_, services_.admission->Enter(info_.caller.tenant));
    Fork(message.model(), fork.session_id(), options);
    return absl::OkStatus();
  }
  SSMD_ASSIGN_OR_RETURN(ticket_, AdmitWork(services_, info_.caller));
  request.tenant = info_.caller.tenant;
  request.deadline = DeadlineOf(*context_);
  Create(std::move(request));
  return absl::OkStatus();
}

void CreateSessionCall::Create(CreateSessionRequest request) {
  const auto answer = [this](absl::StatusOr<SessionInfo> result) {
    // Shared, because a std::function must be copyable.
    auto shared = std::make_shared<absl::StatusOr<SessionInfo>>(std::move(result));
    services_.work->Post([this, shared] { Answer(*shared); });
  };
  // The answer may come, and this be gone, before the engine's call returns: nothing of this is
  // touched after it.
  PostBlocking(services_, [engine = services_.engine, request = std::move(request),
                           request_id = info_.request_id, cancellation = cancellation_, answer] {
    cancellation->Arm(engine->CreateSession(request, request_id, answer));
  });
}

void CreateSessionCall::Fork(const std::string& model, const std::string& parent_id,
                             const ForkOptions& options) {
  PostBlocking(services_, [this, model, parent_id, options] {
    Answer(ForkOne(services_.engine, info_.caller.tenant, model, parent_id, options));
  });
}

void CreateSessionCall::Answer(const absl::StatusOr<SessionInfo>& result) {
  absl::Status status = result.status();
  if (status.ok()) {
    v1::CreateSessionResponse response;
    ToProto(*result, response.mutable_session());
    status = SerializeMessage(response, response_);
  }
  LogCall(services_, info_, status);
  Finish(ToGrpc(status, context_));
}

void CreateSessionCall::OnCancel() { cancellation_->Trigger(); }

void CreateSessionCall::OnDone() { delete this; }

}  // namespace ssmd::server
