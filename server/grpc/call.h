// What every gRPC call goes through, whatever the service: a request id, who calls, a message that
// parses, one line in the log.
//
// Methods are served raw (bytes in, bytes out) and parsed here. gRPC's callback API answers a
// message that does not parse, such as a string that is not UTF-8, with UNIMPLEMENTED and no text;
// here it is INVALID_ARGUMENT with words.
#ifndef SSMD_SERVER_GRPC_CALL_H_
#define SSMD_SERVER_GRPC_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "server/access/admission.h"
#include "server/convert.h"
#include "server/grpc/status.h"
#include "server/services.h"

namespace google::protobuf {
class Message;
}

namespace ssmd::server {

inline constexpr char kRequestIdKey[] = "x-ssmd-request-id";

// Gives the call an id, sent as initial metadata, finds out who calls, and counts the call against
// its tenant's rate. `info` is filled as far
// as known on errors, too.
absl::Status BeginCall(const ServiceContext& services, const char* method,
                       grpc::CallbackServerContext* context, CallInfo* info);

// The caller's deadline on the steady clock, if there is one.
std::optional<TimePoint> DeadlineOf(const grpc::ServerContextBase& context);

absl::Status ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::Message* message);
// INTERNAL when the message is too large to serialise.
absl::Status SerializeMessage(const google::protobuf::Message& message, grpc::ByteBuffer* bytes);

// Serves a call that is answered at once: `handle(const CallInfo&, const Request&, Response*)`
// returns a Status.
template <typename Request, typename Response, typename Handler>
grpc::ServerUnaryReactor* ServeUnary(const ServiceContext& services, const char* method,
                                     grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* bytes_in, grpc::ByteBuffer* bytes_out,
                                     Handler&& handle) {
  CallInfo info;
  Request request;
  Response response;
  absl::Status status = BeginCall(services, method, context, &info);
  if (status.ok()) status = ParseMessage(*bytes_in, &request);
  if (status.ok()) status = handle(static_cast<const CallInfo&>(info), request, &response);
  if (status.ok()) status = SerializeMessage(response, bytes_out);
  LogCall(services, info, status);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status, context));
  return reactor;
}

// Serves a call like ServeUnary, but `handle` may wait: it is run on the BlockingPool. The call is
// counted by Admission.
template <typename Request, typename Response, typename Handler>
grpc::ServerUnaryReactor* ServeBlocking(const ServiceContext& services, const char* method,
                                        grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* bytes_in,
                                        grpc::ByteBuffer* bytes_out, Handler handle) {
  struct Call {
    CallInfo info;
    Request request;
    Admission::Ticket ticket;
  };
  // Shared, because a std::function must be copyable.
  auto call = std::make_shared<Call>();
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::Status status = BeginCall(services, method, context, &call->info);
  if (status.ok()) status = ParseMessage(*bytes_in, &call->request);
  if (status.ok()) {
    auto ticket = services.admission->Enter(call->info.caller.tenant);
    status = ticket.status();
    if (ticket.ok()) call->ticket = *std::move(ticket);
  }
  if (!status.ok()) {
    LogCall(services, call->info, status);
    reactor->Finish(ToGrpc(status, context));
    return reactor;
  }
  PostBlocking(services, [&services, context, reactor, bytes_out, call, handle] {
    Response response;
    absl::Status result =
        handle(static_cast<const CallInfo&>(call->info), call->request, &response);
    if (result.ok()) result = SerializeMessage(response, bytes_out);
    LogCall(services, call->info, result);
    reactor->Finish(ToGrpc(result, context));
  });
  return reactor;
}

}  // namespace ssmd::server

#endif  // SSMD_SERVER_GRPC_CALL_H_
