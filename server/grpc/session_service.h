// ssmd.v1.SessionService: see proto/ssmd/v1/session.proto. Owned by GrpcServer; called on gRPC's
// threads. What only looks is answered there, unless a shared store is asked; that, and what
// changes sessions, is done on the BlockingPool.
#ifndef SSMD_SERVER_GRPC_SESSION_SERVICE_H_
#define SSMD_SERVER_GRPC_SESSION_SERVICE_H_

#include "server/grpc/call.h"
#include "ssmd/v1/session.grpc.pb.h"

namespace ssmd::server {

using RawSessionReads = v1::SessionService::WithRawCallbackMethod_GetSession<
    v1::SessionService::WithRawCallbackMethod_ListSessions<
        v1::SessionService::WithRawCallbackMethod_ExportSession<v1::SessionService::Service>>>;
using RawSessionService = v1::SessionService::WithRawCallbackMethod_CreateSession<
    v1::SessionService::WithRawCallbackMethod_ForkSession<
        v1::SessionService::WithRawCallbackMethod_RewindSession<
            v1::SessionService::WithRawCallbackMethod_CheckpointSession<
                v1::SessionService::WithRawCallbackMethod_DeleteSession<
                    v1::SessionService::WithRawCallbackMethod_ImportSession<RawSessionReads>>>>>>;

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
  grpc::ServerUnaryReactor* ForkSession(grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* RewindSession(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* CheckpointSession(grpc::CallbackServerContext* context,
                                              const grpc::ByteBuffer* request,
                                              grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* DeleteSession(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* ExportSession(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) override;
  grpc::ServerReadReactor<grpc::ByteBuffer>* ImportSession(grpc::CallbackServerContext* context,
                                                           grpc::ByteBuffer* response) override;

 private:
  const ServiceContext& services_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_SESSION_SERVICE_H_
