// See api_error.h.
#include "server/http/api/api_error.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"
#include "engine/base/text_view.h"
#include "server/http/api/json_out.h"
#include "server/refusal.h"

namespace ssmd::server {
namespace {

const char* TypeOf(int status) {
  if (status == 401) return "authentication_error";
  if (status == 403) return "permission_error";
  if (status == 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

// "temperature must be in [0, 10], got 11" → "temperature". Some of sessions have other names here
// than on the wire.
std::string ParamOf(const absl::Status& status) {
  if (ReasonOf(status) != reason::kInvalidField) return "";
  const std::string message(status.message());
  const std::string word = message.substr(0, message.find_first_of(" :"));
  const bool name = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '[' ||
           c == ']';
  });
  for (const char* other : {"the", "a", "one", "where", "session"}) {
    if (word == other) return "";
  }
  if (!name) return "";
  if (word == "page_token") return "after";
  if (word == "session_id") return "id";  // of the path
  if (absl::StartsWith(word, "lifetime.")) return word.substr(word.find('.') + 1);
  return word;
}

std::string Shape(std::string_view message, int status, std::string_view param,
                  std::string_view code) {
  JsonOut out;
  out.Begin().Begin("error").Add("message", message).Add("type", TypeOf(status));
  out.AddOrNull("param", param).AddOrNull("code", code).End().End();
  return out.Take();
}

HttpResponse Response(int status, std::string json) {
  HttpResponse response = JsonResponse(std::move(json));
  response.status = status;
  return response;
}

}  // namespace

int HttpStatusOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kDataLoss:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kCancelled:  // the session was deleted meanwhile, or nobody reads it
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

std::string ErrorJson(const absl::Status& status) {
  const std::string message(status.message());
  return Shape(message, HttpStatusOf(status), ParamOf(status),
               absl::AsciiStrToLower(ReasonOf(status)));
}

HttpResponse ErrorResponse(const absl::Status& status) {
  HttpResponse response = Response(HttpStatusOf(status), ErrorJson(status));
  if (IsRefusal(status)) response.headers.emplace_back(kRefusedKey, kRefusedElsewhere);
  if (const auto delay = RetryAfterOf(status)) {
    AddRetryAfter(*delay, &response);
  } else if (absl::IsResourceExhausted(status)) {
    // Something has to be given up first. OpenAI's packages look at this one.
    response.headers.emplace_back("x-should-retry", "false");
  }
  return response;
}

HttpResponse ApiRefusal(int status, std::string_view message, std::string_view reason) {
  const std::string code = absl::AsciiStrToLower(View(reason));
  return Response(status, Shape(message, status, "", status == 401 ? "invalid_api_key" : code));
}

HttpResponse JsonResponse(std::string json) {
  HttpResponse response;
  response.content_type = "application/json";
  response.body = std::move(json);
  return response;
}

}  // namespace ssmd::server
