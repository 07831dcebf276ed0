// See http_text.h.
#include "server/http/http_text.h"

#include <boost/beast/core/error.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/status.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/text_view.h"

namespace ssmd::server {
namespace {

namespace http = boost::beast::http;

constexpr int kNoContent = 204;

std::vector<std::string> Values(const WireRequest& request, http::field field) {
  std::vector<std::string> values;
  const auto range = request.equal_range(field);
  for (auto it = range.first; it != range.second; ++it) values.emplace_back(TextOf(it->value()));
  return values;
}

bool KeepsAlive(const WireAnswer& wire, bool in_pieces) {
  return wire.keep_alive && (wire.version >= 11 || !in_pieces);
}

std::string StatusAndHeaders(const HttpResponse& response, const WireAnswer& wire, bool in_pieces) {
  const auto status = static_cast<unsigned>(response.status);
  std::string text = absl::StrCat("HTTP/1.", wire.version >= 11 ? 1 : 0, " ", status, " ",
                                  View(TextOf(http::obsolete_reason(http::int_to_status(status)))),
                                  "\r\nServer: ssmd\r\n");
  const auto add = [&text](std::string_view name, std::string_view value) {
    absl::StrAppend(&text, View(name), ": ", View(value), "\r\n");
  };
  if (response.status != kNoContent) add("Content-Type", response.content_type);
  const auto has = [&response](const char* name) {
    for (const auto& header : response.headers) {
      if (absl::EqualsIgnoreCase(header.first, name)) return true;
    }
    return false;
  };
  if (!has("Cache-Control")) add("Cache-Control", "no-store");
  add("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : response.headers) add(name, value);
  for (const auto& [name, value] : wire.headers) add(name, value);
  const bool keeps = KeepsAlive(wire, in_pieces);
  if (wire.version >= 11 && !keeps) add("Connection", "close");
  if (wire.version < 11 && keeps) add("Connection", "keep-alive");
  return text;
}

}  // namespace

HttpRequest FromWire(WireRequest request, HttpPeer peer) {
  HttpRequest out;
  out.method = std::string(TextOf(request.method_string()));
  out.target = std::string(TextOf(request.target()));
  out.hosts = Values(request, http::field::host);
  out.authorizations = Values(request, http::field::authorization);
  out.origins = Values(request, http::field::origin);
  out.content_type = std::string(TextOf(request[http::field::content_type]));
  out.traceparent = std::string(TextOf(request["traceparent"]));
  out.body = std::move(request.body());
  out.peer = std::move(peer);
  return out;
}

bool ExpectsContinue(const WireRequest& request) {
  return request.version() >= 11 &&
         absl::EqualsIgnoreCase(View(TextOf(request[http::field::expect])), "100-continue");
}

std::string WholeText(HttpResponse response, const WireAnswer& wire) {
  std::string text = StatusAndHeaders(response, wire, /*in_pieces=*/false);
  if (response.status != kNoContent) {
    absl::StrAppend(&text, "Content-Length: ", response.body.size(), "\r\n");
  }
  text += "\r\n";
  if (!wire.head) text += response.body;
  return text;
}

std::string HeadText(const HttpResponse& head, const WireAnswer& wire) {
  std::string text = StatusAndHeaders(head, wire, /*in_pieces=*/true);
  if (wire.version >= 11) text += "Transfer-Encoding: chunked\r\n";
  return text + "\r\n";
}

std::string PieceText(std::string piece, const WireAnswer& wire) {
  if (wire.head || piece.empty()) return "";
  if (wire.version < 11) return piece;
  return absl::StrCat(absl::Hex(piece.size()), "\r\n", piece, "\r\n");
}

std::string_view EndText(const WireAnswer& wire) {
  return wire.head || wire.version < 11 ? "" : "0\r\n\r\n";
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
    return PlainResponse(413, "the body is larger than this server takes (--max-http-body-bytes)");
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
