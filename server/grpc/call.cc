// See call.h.
#include "server/grpc/call.h"

#include <google/protobuf/message.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <string_view>

#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"
#include "engine/base/secure_random.h"
#include "server/access/listen_address.h"
#include "server/access/refusal_audit.h"
#include "server/access/tenant_rates.h"

namespace ssmd::server {
namespace {

std::optional<std::string_view> Metadata(const grpc::CallbackServerContext& context,
                                         const char* key) {
  const auto& metadata = context.client_metadata();
  const auto range = metadata.equal_range(key);
  if (range.first == range.second) return std::nullopt;
  // Two of them is a caller (or a proxy) that is confused or worse: neither counts.
  if (std::next(range.first) != range.second) return std::string_view();
  return std::string_view(range.first->second.data(), range.first->second.size());
}

}  // namespace

absl::Status BeginCall(const ServiceContext& services, const char* method,
                       grpc::CallbackServerContext* context, CallInfo* info) {
  info->method = method;
  info->request_id = SecureRandomId();
  info->started_at = std::chrono::steady_clock::now();
  context->AddInitialMetadata(kRequestIdKey, info->request_id);
  info->trace = ContinueTrace(Metadata(*context, kTraceparent).value_or(""));
  if (info->trace.has_value()) context->AddInitialMetadata(kTraceparent, info->trace->ToHeader());
  info->peer = context->peer();
  CredentialFault fault{};
  auto caller = services.tenants->Authenticate(Metadata(*context, "authorization"),
                                               IsLoopbackPeer(info->peer), &fault);
  if (!caller.ok()) {
    services.audit->Refused(info->peer, method, fault, "");
    return caller.status();
  }
  info->caller = *std::move(caller);
  return services.rates->TakeCall(info->caller);
}

std::optional<TimePoint> DeadlineOf(const grpc::ServerContextBase& context) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return std::nullopt;
  // A deadline of years would overflow below, and is none.
  const auto left = deadline - std::chrono::system_clock::now();
  if (left > std::chrono::hours(24 * 365)) return std::nullopt;
  return std::chrono::steady_clock::now() + std::chrono::duration_cast<Duration>(left);
}

absl::Status ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  grpc::ByteBuffer copy(bytes);  // shares the bytes; deserialising empties the handle it is given
  if (grpc::GenericDeserialize<grpc::ProtoBufferReader, google::protobuf::Message>(&copy, message)
          .ok()) {
    return absl::OkStatus();
  }
  return WithReason(
      absl::InvalidArgumentError(absl::StrCat("the request is not a ", message->GetTypeName(),
                                              ": it is malformed, or a string in it is not UTF-8")),
      "MALFORMED_MESSAGE");
}

absl::Status SerializeMessage(const google::protobuf::Message& message, grpc::ByteBuffer* bytes) {
  if (message.ByteSizeLong() > size_t{1} << 30) {
    return absl::InternalError("the answer is too large to send");
  }
  bytes->Clear();
  bool own_buffer = false;
  const grpc::Status status =
      grpc::GenericSerialize<grpc::ProtoBufferWriter, google::protobuf::Message>(message, bytes,
                                                                                 &own_buffer);
  return status.ok() ? absl::OkStatus() : absl::InternalError("the answer cannot be serialised");
}

}  // namespace ssmd::server
