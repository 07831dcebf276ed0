// See session_service.h.
#include "server/grpc/session_service.h"

#include <optional>

#include "engine/base/status_macros.h"
#include "server/grpc/create_session_call.h"
#include "server/grpc/export_call.h"
#include "server/grpc/import_call.h"

namespace ssmd::server {
namespace {

// Serves a call that only looks: a shared store is asked first; without one nothing waits, not even
// for changes.
template <typename Request, typename Response, typename Handler>
grpc::ServerUnaryReactor* ServeLooking(const ServiceContext& services, const char* method,
                                       grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request, grpc::ByteBuffer* response,
                                       const Handler& handle) {
  return services.shared_store
             ? ServeBlocking<Request, Response>(services, method, context, request, response,
                                                handle)
             : ServeUnary<Request, Response>(services, method, context, request, response, handle);
}

}  // namespace

grpc::ServerUnaryReactor* SessionService::CreateSession(grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request,
                                                        grpc::ByteBuffer* response) {
  return CreateSessionCall::Start(services_, context, *request, response);
}

grpc::ServerUnaryReactor* SessionService::GetSession(grpc::CallbackServerContext* context,
                                                     const grpc::ByteBuffer* request,
                                                     grpc::ByteBuffer* response) {
  const auto get = [this](const CallInfo& info, const v1::GetSessionRequest& in,
                          v1::GetSessionResponse* out) {
    SSMD_RETURN_IF_ERROR(Validate(in, services_.limits));
    SSMD_ASSIGN_OR_RETURN(const SessionInfo session,
                          services_.engine->GetSession(info.caller.tenant, in.session_id()));
    ToProto(session, out->mutable_session());
    return absl::OkStatus();
  };
  return ServeLooking<v1::GetSessionRequest, v1::GetSessionResponse>(
      services_, "GetSession", context, request, response, get);
}

grpc::ServerUnaryReactor* SessionService::ListSessions(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request,
                                                       grpc::ByteBuffer* response) {
  const auto list = [this](const CallInfo& info, const v1::ListSessionsRequest& in,
                           v1::ListSessionsResponse* out) {
    SSMD_RETURN_IF_ERROR(Validate(in, services_.limits));
    const int page_size = in.page_size() == 0 ? kPageSizeDefault : in.page_size();
    SSMD_ASSIGN_OR_RETURN(
        const SessionPage page,
        services_.engine->ListSessions(info.caller.tenant, {in.model(), in.parent_id()}, page_size,
                                       in.page_token()));
    for (const SessionInfo& session : page.sessions) ToProto(session, out->add_sessions());
    out->set_next_page_token(page.next_page_token);
    return absl::OkStatus();
  };
  return ServeLooking<v1::ListSessionsRequest, v1::ListSessionsResponse>(
      services_, "ListSessions", context, request, response, list);
}

grpc::ServerUnaryReactor* SessionService::ForkSession(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  return ServeBlocking<v1::ForkSessionRequest, v1::ForkSessionResponse>(
      services_, "ForkSession", context, request, response,
      [this](const CallInfo& info, const v1::ForkSessionRequest& in, v1::ForkSessionResponse* out) {
        SSMD_ASSIGN_OR_RETURN(const ForkOptions options, FromProto(in, services_.limits));
        SSMD_ASSIGN_OR_RETURN(
            const std::vector<SessionInfo> children,
            services_.engine->ForkSession(info.caller.tenant, in.session_id(), options));
        for (const SessionInfo& child : children) ToProto(child, out->add_sessions());
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* SessionService::RewindSession(grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request,
                                                        grpc::ByteBuffer* response) {
  return ServeBlocking<v1::RewindSessionRequest, v1::RewindSessionResponse>(
      services_, "RewindSession", context, request, response,
      [this](const CallInfo& info, const v1::RewindSessionRequest& in,
             v1::RewindSessionResponse* out) {
        SSMD_ASSIGN_OR_RETURN(const RewindTarget target, FromProto(in, services_.limits));
        SSMD_ASSIGN_OR_RETURN(
            const SessionInfo session,
            services_.engine->RewindSession(info.caller.tenant, in.session_id(), target));
        ToProto(session, out->mutable_session());
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* SessionService::CheckpointSession(grpc::CallbackServerContext* context,
                                                            const grpc::ByteBuffer* request,
                                                            grpc::ByteBuffer* response) {
  return ServeBlocking<v1::CheckpointSessionRequest, v1::CheckpointSessionResponse>(
      services_, "CheckpointSession", context, request, response,
      [this](const CallInfo& info, const v1::CheckpointSessionRequest& in,
             v1::CheckpointSessionResponse* out) {
        SSMD_ASSIGN_OR_RETURN(const CheckpointOptions options, FromProto(in, services_.limits));
        SSMD_ASSIGN_OR_RETURN(
            const SessionInfo session,
            services_.engine->CheckpointSession(info.caller.tenant, in.session_id(), options));
        ToProto(session, out->mutable_session());
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* SessionService::DeleteSession(grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request,
                                                        grpc::ByteBuffer* response) {
  return ServeBlocking<v1::DeleteSessionRequest, v1::DeleteSessionResponse>(
      services_, "DeleteSession", context, request, response,
      [this](const CallInfo& info, const v1::DeleteSessionRequest& in,
             v1::DeleteSessionResponse* /*out*/) {
        SSMD_RETURN_IF_ERROR(Validate(in, services_.limits));
        std::optional<uint64_t> expected;
        if (in.has_expected_revision()) expected = in.expected_revision();
        return services_.engine->DeleteSession(info.caller.tenant, in.session_id(), expected);
      });
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* SessionService::ExportSession(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  return ExportCall::Start(services_, context, *request);
}

grpc::ServerReadReactor<grpc::ByteBuffer>* SessionService::ImportSession(
    grpc::CallbackServerContext* context, grpc::ByteBuffer* response) {
  return ImportCall::Start(services_, context, response);
}

}  // namespace ssmd::server
