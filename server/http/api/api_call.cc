// See api_call.h.
#include "server/http/api/api_call.h"

#include <chrono>

#include "engine/base/secure_random.h"

namespace ssmd::server {

CallInfo BeginApiCall(const char* method, const HttpRequest& request, const Caller& caller) {
  CallInfo info;
  info.method = method;
  info.request_id = SecureRandomId();
  info.trace = ContinueTrace(request.traceparent);
  info.caller = caller;
  info.started_at = std::chrono::steady_clock::now();
  return info;
}

void AddCallHeaders(const CallInfo& info, HttpResponse* response) {
  response->headers.emplace_back("x-request-id", info.request_id);
  if (info.trace.has_value()) {
    response->headers.emplace_back(kTraceparent, info.trace->ToHeader());
  }
}

}  // namespace ssmd::server
