// ssmd.v1.MemoryService: see proto/ssmd/v1/memory.proto. Owned by GrpcServer; called on gRPC's
// threads.
#ifndef SSMD_SERVER_GRPC_MEMORY_SERVICE_H_
#define SSMD_SERVER_GRPC_MEMORY_SERVICE_H_

#include "server/grpc/memory_call.h"
#include "ssmd/v1/memory.grpc.pb.h"

namespace ssmd::server {

using RawMemoryService =
    v1::MemoryService::WithRawCallbackMethod_Memory<v1::MemoryService::Service>;

class MemoryService final : public RawMemoryService {
 public:
  explicit MemoryService(const ServiceContext& services) : services_(services) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Memory(
      grpc::CallbackServerContext* context) override {
    return MemoryCall::Start(services_, context);
  }

 private:
  const ServiceContext& services_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_MEMORY_SERVICE_H_
