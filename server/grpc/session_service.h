// ssmd.v1.SessionService: see proto/ssmd/v1/session.proto. Owned by GrpcServer; called on gRPC's
// threads.
#ifndef SSMD_SERVER_GRPC_SESSION_SERVICE_H_
#define SSMD_SERVER_GRPC_SESSION_SERVICE_H_

#include "server/grpc/call.h"
#include "ssmd/v1/session.grpc.pb.h"

namespace ssmd::server {

using RawSessionService = v1::SessionService::WithRawCallbackMethod_CreateSession<
    v1::SessionService::WithRawCallbackMethod_GetSession<
        v1::SessionService::WithRawCallbackMethod_ListSessions<
            v1::SessionService::WithRawCallbackMethod_DeleteSession<v1::SessionService::Service>>>>;

class SessionService final : public RawSessionService {
 public:
  explicit SessionService(const ServiceContext& services) : services_(services) {}

  grpc::ServerUnaryReactor* CreateSession(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetSession(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ListSessions(grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* DeleteSession(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;

 private:
  const ServiceContext& services_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_SESSION_SERVICE_H_
