// See web_routes.h.
#include "server/http/web_routes.h"

#include <string>
#include <string_view>

#include "absl/strings/match.h"
#include "engine/base/text_view.h"

namespace ssmd::server {
namespace {

struct WebFile {
  std::string_view name;
  std::string_view bytes;
};

#include "web_files.inc"  // of server/http/web, by web_files.cmake

constexpr char kPage[] = "index.html";
constexpr char kDescription[] = "openapi.json";
// Nothing from elsewhere, nothing to elsewhere, and no script or style within the page, whatever a
// model writes into it.
constexpr char kContentSecurityPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' "
    "data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const char* ContentType(std::string_view name) {
  const auto ends = [name](const char* end) { return absl::EndsWith(View(name), end); };
  if (ends(".html")) return "text/html; charset=utf-8";
  if (ends(".css")) return "text/css; charset=utf-8";
  if (ends(".js")) return "text/javascript; charset=utf-8";
  if (ends(".json")) return "application/json";
  return ends(".svg") ? "image/svg+xml" : "application/octet-stream";
}

}  // namespace

void AddWebRoutes(bool playground, Router* router) {
  for (const WebFile& file : kWebFiles) {
    if (!playground && file.name != kDescription) continue;
    const std::string path = file.name == kPage ? "/" : "/" + std::string(file.name);
    router->AddGet(path, Router::Access::kOpen, [file](const HttpRequest&, const Caller&) {
      HttpResponse response;
      response.content_type = ContentType(file.name);
      response.body = std::string(file.bytes);
      response.headers = {{"Content-Security-Policy", kContentSecurityPolicy},
                          {"Referrer-Policy", "no-referrer"},
                          {"Cache-Control", "no-cache"}};
      return response;
    });
  }
}

}  // namespace ssmd::server
