// ssmd.v1.AdminService: see proto/ssmd/v1/admin.proto. For tokens with the admin role, or for
// callers on the loopback where there are no tokens. Owned by GrpcServer; called on gRPC's threads.
#ifndef SSMD_SERVER_GRPC_ADMIN_SERVICE_H_
#define SSMD_SERVER_GRPC_ADMIN_SERVICE_H_

#include "server/grpc/call.h"
#include "ssmd/v1/admin.grpc.pb.h"

namespace ssmd::server {

using RawAdminService = v1::AdminService::WithRawCallbackMethod_Drain<
    v1::AdminService::WithRawCallbackMethod_GetStats<v1::AdminService::Service>>;

class AdminService final : public RawAdminService {
 public:
  explicit AdminService(const ServiceContext& services) : services_(services) {}

  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetStats(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;

 private:
  const ServiceContext& services_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_ADMIN_SERVICE_H_
