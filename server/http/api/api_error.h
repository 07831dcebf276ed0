// Errors in the shape that OpenAI's clients read:
//   {"error": {"message": …, "type": …, "param": …, "code": …}}
#ifndef SSMD_SERVER_HTTP_API_API_ERROR_H_
#define SSMD_SERVER_HTTP_API_API_ERROR_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/http/exchange.h"

namespace ssmd::server {

int HttpStatusOf(const absl::Status& status);
// The object with the member `error`. `param` is the field that the message names, if it does.
std::string ErrorJson(const absl::Status& status);
// With Retry-After, where the status has a delay.
HttpResponse ErrorResponse(const absl::Status& status);
// Of a request that no handler saw. `reason` may be empty.
HttpResponse ApiRefusal(int status, std::string_view message, std::string_view reason);

HttpResponse JsonResponse(std::string json);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_API_API_ERROR_H_
