// What every request of the API has: an id, a trace where the caller has one, a line in the log.
#ifndef SSMD_SERVER_HTTP_API_API_CALL_H_
#define SSMD_SERVER_HTTP_API_API_CALL_H_

#include "server/http/exchange.h"
#include "server/services.h"

namespace ssmd::server {

CallInfo BeginApiCall(const char* method, const HttpRequest& request, const Caller& caller);
// x-request-id, traceparent.
void AddCallHeaders(const CallInfo& info, HttpResponse* response);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_API_API_CALL_H_
