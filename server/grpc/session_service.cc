// See session_service.h.
#include "server/grpc/session_service.h"

#include <optional>

#include "engine/base/status_macros.h"

namespace ssmd::server {

grpc::ServerUnaryReactor* SessionService::CreateSession(grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request,
                                                        grpc::ByteBuffer* response) {
  return ServeUnary<v1::CreateSessionRequest, v1::CreateSessionResponse>(
      services_, "CreateSession", context, request, response,
      [this](const CallInfo& info, const v1::CreateSessionRequest& in,
             v1::CreateSessionResponse* out) {
        SSMD_RETURN_IF_ERROR(Validate(in, services_.limits));
        SSMD_ASSIGN_OR_RETURN(const SessionInfo session,
                              services_.engine->CreateSession(info.caller.tenant, in.model()));
        ToProto(session, out->mutable_session());
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* SessionService::GetSession(grpc::CallbackServerContext* context,
                                                     const grpc::ByteBuffer* request,
                                                     grpc::ByteBuffer* response) {
  return ServeUnary<v1::GetSessionRequest, v1::GetSessionResponse>(
      services_, "GetSession", context, request, response,
      [this](const CallInfo& info, const v1::GetSessionRequest& in, v1::GetSessionResponse* out) {
        SSMD_RETURN_IF_ERROR(Validate(in, services_.limits));
        SSMD_ASSIGN_OR_RETURN(const SessionInfo session,
                              services_.engine->GetSession(info.caller.tenant, in.session_id()));
        ToProto(session, out->mutable_session());
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* SessionService::ListSessions(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request,
                                                       grpc::ByteBuffer* response) {
  return ServeUnary<v1::ListSessionsRequest, v1::ListSessionsResponse>(
      services_, "ListSessions", context, request, response,
      [this](const CallInfo& info, const v1::ListSessionsRequest& in,
             v1::ListSessionsResponse* out) {
        SSMD_RETURN_IF_ERROR(Validate(in, services_.limits));
        const int page_size = in.page_size() == 0 ? kPageSizeDefault : in.page_size();
        SSMD_ASSIGN_OR_RETURN(const SessionPage page,
                              services_.engine->ListSessions(info.caller.tenant, in.model(),
                                                             page_size, in.page_token()));
        for (const SessionInfo& session : page.sessions) ToProto(session, out->add_sessions());
        out->set_next_page_token(page.next_page_token);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* SessionService::DeleteSession(grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request,
                                                        grpc::ByteBuffer* response) {
  return ServeUnary<v1::DeleteSessionRequest, v1::DeleteSessionResponse>(
      services_, "DeleteSession", context, request, response,
      [this](const CallInfo& info, const v1::DeleteSessionRequest& in,
             v1::DeleteSessionResponse* /*out*/) {
        SSMD_RETURN_IF_ERROR(Validate(in, services_.limits));
        std::optional<uint64_t> expected;
        if (in.has_expected_revision()) expected = in.expected_revision();
        return services_.engine->DeleteSession(info.caller.tenant, in.session_id(), expected);
      });
}

}  // namespace ssmd::server
