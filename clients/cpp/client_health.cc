// Client's call of grpc.health.v1. See client.h.
#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/generic/generic_stub.h>

#include <future>

#include "clients/cpp/client.h"
#include "clients/cpp/unary_call.h"

namespace ssmd::client {

// The messages of grpc.health.v1 have one field each, with the number and the type of the
// wrappers', and so the same bytes: HealthCheckRequest{string service}, HealthCheckResponse{enum
// status}.
Result<Health> Client::CheckHealth(const std::string& service, const CallOptions& options) {
  grpc::ClientContext context;
  Prepare(options, "", &context);
  const CancelCallback cancel = CancelOn(options.cancel, &context);
  google::protobuf::StringValue request;
  request.set_value(service);
  google::protobuf::Int32Value response;
  std::promise<grpc::Status> done;
  grpc::TemplatedGenericStub<google::protobuf::StringValue, google::protobuf::Int32Value> stub(
      connection_.channel);
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &request, &response,
                 [&done](grpc::Status status) { done.set_value(std::move(status)); });
  if (auto error = ErrorOf(done.get_future().get())) return *error;
  switch (response.value()) {
    case 1:
      return Health::kServing;
    case 2:
      return Health::kNotServing;
    default:
      return Health::kUnknown;
  }
}

}  // namespace ssmd::client
