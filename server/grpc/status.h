// Errors on the wire: an absl::Status as a gRPC status with google.rpc details (ErrorInfo with the
// reason and the domain "ssmd", RetryInfo), which travel in "grpc-status-details-bin".
#ifndef SSMD_SERVER_GRPC_STATUS_H_
#define SSMD_SERVER_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace grpc {
class ServerContextBase;
}

namespace ssmd::server {

inline constexpr char kErrorDomain[] = "ssmd";
inline constexpr size_t kErrorMessageBytesMax = 1024;  // longer ones are cut

grpc::Status ToGrpc(const absl::Status& status);

// The same, and asks gRPC clients to wait where the status carries a retry delay
// ("grpc-retry-pushback-ms"), and proxies to ask another server where this one refused (refusal.h;
// that has no effect where an answer has begun). REQUIRES: the call's status was not sent yet.
grpc::Status ToGrpc(const absl::Status& status, grpc::ServerContextBase* context);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_STATUS_H_
