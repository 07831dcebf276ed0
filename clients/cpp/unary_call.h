// How the client library runs a unary call. For client*.cc alone.
#ifndef SSMD_CLIENTS_CPP_UNARY_CALL_H_
#define SSMD_CLIENTS_CPP_UNARY_CALL_H_

#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "clients/cpp/client.h"

namespace ssmd::client {

// Cancels a call when its stop token is triggered, for as long as this lives.
inline auto CancelOn(const std::stop_token& token, grpc::ClientContext* context) {
  return std::stop_callback(token, [context] { context->TryCancel(); });
}
using CancelCallback = decltype(CancelOn(std::declval<std::stop_token>(), nullptr));

template <typename Response, typename Stub, typename Request>
Result<Response> Client::Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                              const std::unique_ptr<Stub>& stub, const Request& request,
                              const CallOptions& options, const std::string& session_id) const {
  grpc::ClientContext context;
  Prepare(options, session_id, &context);
  const CancelCallback cancel = CancelOn(options.cancel, &context);
  Response response;
  if (auto error = ErrorOf((stub.get()->*method)(&context, request, &response))) return *error;
  return response;
}

}  // namespace ssmd::client

#endif  // SSMD_CLIENTS_CPP_UNARY_CALL_H_
