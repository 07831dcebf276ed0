// See model_service.h.
#include "server/grpc/model_service.h"

#include "engine/base/model_name.h"
#include "engine/base/status_macros.h"

namespace ssmd::server {

grpc::ServerUnaryReactor* ModelService::ListModels(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request,
                                                   grpc::ByteBuffer* response) {
  return ServeUnary<v1::ListModelsRequest, v1::ListModelsResponse>(
      services_, "ListModels", context, request, response,
      [this](const CallInfo& /*info*/, const v1::ListModelsRequest& /*in*/,
             v1::ListModelsResponse* out) {
        for (const ServedModel& model : services_.engine->Models()) {
          ToProto(model, out->add_models());
        }
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* ModelService::GetModel(grpc::CallbackServerContext* context,
                                                 const grpc::ByteBuffer* request,
                                                 grpc::ByteBuffer* response) {
  return ServeUnary<v1::GetModelRequest, v1::GetModelResponse>(
      services_, "GetModel", context, request, response,
      [this](const CallInfo& /*info*/, const v1::GetModelRequest& in, v1::GetModelResponse* out) {
        SSMD_RETURN_IF_ERROR(Validate(in, services_.limits));
        for (const ServedModel& model : services_.engine->Models()) {
          if (model.name != in.name()) continue;
          ToProto(model, out->mutable_model());
          return absl::OkStatus();
        }
        return NoSuchModel(in.name());
      });
}

}  // namespace ssmd::server
