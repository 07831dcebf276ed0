// ssmd.v1.GenerationService: see proto/ssmd/v1/generation.proto. Owned by GrpcServer; called on
// gRPC's threads.
#ifndef SSMD_SERVER_GRPC_GENERATION_SERVICE_H_
#define SSMD_SERVER_GRPC_GENERATION_SERVICE_H_

#include "server/grpc/call.h"
#include "ssmd/v1/generation.grpc.pb.h"

namespace ssmd::server {

using RawGenerationService = v1::GenerationService::WithRawCallbackMethod_Generate<
    v1::GenerationService::WithRawCallbackMethod_Score<
        v1::GenerationService::WithRawCallbackMethod_Encode<
            v1::GenerationService::WithRawCallbackMethod_Tokenize<
                v1::GenerationService::WithRawCallbackMethod_Detokenize<
                    v1::GenerationService::Service>>>>>;

class GenerationService final : public RawGenerationService {
 public:
  explicit GenerationService(const ServiceContext& services) : services_(services) {}

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Generate(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Encode(grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Detokenize(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override;

 private:
  // A turn under way, with what its call holds.
  struct Turn {
    std::shared_ptr<OutputStream> stream;
    Admission::Ticket ticket;
  };
  absl::StatusOr<Turn> StartTurn(grpc::CallbackServerContext* context,
                                 const grpc::ByteBuffer& bytes, CallInfo* info, std::string* model);

  const ServiceContext& services_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_GENERATION_SERVICE_H_
