// See exchange.h.
#include "server/http/exchange.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace ssmd::server {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// What is no escape stays as it is.
std::string Decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 &&
                        HexDigit(text[i + 2]) >= 0;
    if (escape) {
      out += static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2]));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

}  // namespace

std::optional<std::string> HttpRequest::Query(std::string_view name) const {
  const size_t question = target.find('?');
  if (question == std::string::npos) return std::nullopt;
  std::string_view rest = std::string_view(target).substr(question + 1);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const size_t equals = std::min(pair.find('='), pair.size());
    if (Decoded(pair.substr(0, equals)) != name) continue;
    return Decoded(equals == pair.size() ? std::string_view() : pair.substr(equals + 1));
  }
  return std::nullopt;
}

HttpResponse PlainResponse(int status, std::string_view text) {
  HttpResponse response;
  response.status = status;
  response.body = absl::StrCat(absl::string_view(text.data(), text.size()), "\n");
  return response;
}

void AddRetryAfter(std::chrono::milliseconds delay, HttpResponse* response) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(delay).count();
  response->headers.emplace_back("Retry-After", absl::StrCat(std::max<int64_t>(seconds, 1)));
  response->headers.emplace_back("Retry-After-Ms", absl::StrCat(delay.count()));
}

}  // namespace ssmd::server
