// HTTP/1.1 as text: what Beast has read as an HttpRequest, and an HttpResponse as the bytes to
// send. Pure functions.
#ifndef SSMD_SERVER_HTTP_HTTP_TEXT_H_
#define SSMD_SERVER_HTTP_HTTP_TEXT_H_

#include <boost/beast/core/error.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/http/exchange.h"

namespace ssmd::server {

using WireRequest = boost::beast::http::request<boost::beast::http::string_body>;

inline std::string_view TextOf(boost::beast::string_view text) {
  return {text.data(), text.size()};
}
HttpRequest FromWire(WireRequest request, HttpPeer peer);
// Whether the caller waits to be told that its body is wanted, and what it is told.
bool ExpectsContinue(const WireRequest& request);
inline constexpr std::string_view kContinueText = "HTTP/1.1 100 Continue\r\n\r\n";

// What to answer to a request that could not be read; nothing where there is nobody to tell.
std::optional<HttpResponse> AnswerToBadRequest(boost::beast::error_code error);
HttpResponse AnswerToOneTooMany();

// How an answer is to be written.
struct WireAnswer {
  unsigned version = 11;
  bool keep_alive = false;
  bool head = false;  // the request was HEAD: the body is described, not sent
  std::vector<std::pair<std::string, std::string>> headers{};  // beside those of the answer
};
std::string WholeText(HttpResponse response, const WireAnswer& wire);
// Of an answer in pieces: chunked, or for HTTP/1.0 up to the end of the connection.
std::string HeadText(const HttpResponse& head, const WireAnswer& wire);
std::string PieceText(std::string piece, const WireAnswer& wire);
std::string_view EndText(const WireAnswer& wire);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_HTTP_TEXT_H_
