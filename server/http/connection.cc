// See connection.h: what does not depend on the kind of stream.
#include "server/http/connection.h"

namespace ssmd::server {
namespace {

namespace http = boost::beast::http;

std::string ToString(boost::beast::string_view text) { return {text.data(), text.size()}; }

std::vector<std::string> Values(const WireRequest& request, http::field field) {
  std::vector<std::string> values;
  const auto range = request.equal_range(field);
  for (auto it = range.first; it != range.second; ++it) values.push_back(ToString(it->value()));
  return values;
}

}  // namespace

HttpRequest FromWire(WireRequest request, bool loopback_peer) {
  HttpRequest out;
  out.method = ToString(request.method_string());
  out.target = ToString(request.target());
  out.hosts = Values(request, http::field::host);
  out.authorizations = Values(request, http::field::authorization);
  out.body = std::move(request.body());
  out.loopback_peer = loopback_peer;
  return out;
}

WireResponse ToWire(HttpResponse response, unsigned version, bool keep_alive, bool head) {
  WireResponse out(http::int_to_status(static_cast<unsigned>(response.status)), version);
  out.set(http::field::server, "ssmd");
  out.set(http::field::content_type, response.content_type);
  out.set(http::field::cache_control, "no-store");
  out.set("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : response.headers) out.set(name, value);
  out.keep_alive(keep_alive);
  const size_t bytes = response.body.size();
  if (!head) out.body() = std::move(response.body);
  out.content_length(bytes);
  return out;
}

std::optional<HttpResponse> AnswerToBadRequest(boost::beast::error_code error) {
  if (error == http::error::end_of_stream || error == http::error::partial_message ||
      error == boost::beast::error::timeout) {
    return std::nullopt;
  }
  if (error == http::error::header_limit) {
    return PlainResponse(431, "the header is larger than --max-http-header-bytes");
  }
  if (error == http::error::body_limit) {
    return PlainResponse(413, "the body is larger than --max-http-body-bytes");
  }
  if (error.category() == http::make_error_code(http::error::bad_method).category()) {
    return PlainResponse(400, "this is not an HTTP/1.1 request");
  }
  return std::nullopt;  // the connection broke
}

HttpResponse AnswerToOneTooMany() {
  HttpResponse answer = PlainResponse(
      503, "as many connections are open as --max-http-connections allows: try again later");
  answer.headers.emplace_back("Retry-After", "1");
  return answer;
}

}  // namespace ssmd::server
