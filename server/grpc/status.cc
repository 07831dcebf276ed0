// See status.h.
#include "server/grpc/status.h"

#include <grpcpp/server_context.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"
#include "server/refusal.h"
#include "ssmd/v1/rpc_status.pb.h"

namespace ssmd::server {
namespace {

// Our messages are wire-compatible with google.rpc's, whose type URLs clients look for.
void AddDetail(const google::protobuf::Message& detail, const char* type_url,
               v1::RpcStatus* status) {
  google::protobuf::Any* any = status->add_details();
  any->set_type_url(type_url);
  detail.SerializeToString(any->mutable_value());
}

// Cut at a character's start.
std::string Cut(std::string message) {
  if (message.size() <= kErrorMessageBytesMax) return message;
  size_t end = kErrorMessageBytesMax;
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xc0) == 0x80) --end;
  message.resize(end);
  return message + "…";
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.raw_code());  // the same numbers
  const std::string message = Cut(std::string(status.message()));
  v1::RpcStatus details;
  details.set_code(status.raw_code());
  details.set_message(message);
  if (const std::string reason = ReasonOf(status); !reason.empty()) {
    v1::ErrorInfo info;
    info.set_reason(reason);
    info.set_domain(kErrorDomain);
    AddDetail(info, "type.googleapis.com/google.rpc.ErrorInfo", &details);
  }
  if (const auto delay = RetryAfterOf(status)) {
    v1::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(delay->count() / 1000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(delay->count() % 1000 * 1000000));
    AddDetail(retry, "type.googleapis.com/google.rpc.RetryInfo", &details);
  }
  return grpc::Status(code, message,
                      details.details().empty() ? std::string() : details.SerializeAsString());
}

grpc::Status ToGrpc(const absl::Status& status, grpc::ServerContextBase* context) {
  if (IsRefusal(status)) context->AddInitialMetadata(kRefusedKey, kRefusedElsewhere);
  if (const auto delay = RetryAfterOf(status)) {
    context->AddTrailingMetadata("grpc-retry-pushback-ms", absl::StrCat(delay->count()));
  }
  return ToGrpc(status);
}

}  // namespace ssmd::server
