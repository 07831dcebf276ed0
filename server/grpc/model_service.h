// ssmd.v1.ModelService: see proto/ssmd/v1/model.proto. Owned by GrpcServer; called on gRPC's
// threads.
#ifndef SSMD_SERVER_GRPC_MODEL_SERVICE_H_
#define SSMD_SERVER_GRPC_MODEL_SERVICE_H_

#include "server/grpc/call.h"
#include "ssmd/v1/model.grpc.pb.h"

namespace ssmd::server {

using RawModelService = v1::ModelService::WithRawCallbackMethod_ListModels<
    v1::ModelService::WithRawCallbackMethod_GetModel<v1::ModelService::Service>>;

class ModelService final : public RawModelService {
 public:
  explicit ModelService(const ServiceContext& services) : services_(services) {}

  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;

 private:
  const ServiceContext& services_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_MODEL_SERVICE_H_
