// Which function answers which HTTP request, and what is checked before it is asked: the method,
// the Host header (a page in a browser could otherwise reach a daemon on the loopback by a name
// that resolves there), the Origin header (a page of another site may ask only where it is on the
// allow-list, and is told so by CORS), the token where a route wants one, and that a JSON body says
// that it is one.
//
// Built once, then read by the HTTP thread.
#ifndef SSMD_SERVER_HTTP_ROUTER_H_
#define SSMD_SERVER_HTTP_ROUTER_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/access/tenants.h"
#include "server/http/exchange.h"

namespace ssmd::server {

class RefusalAudit;
class TenantRates;

class Router {
 public:
  enum class Access : unsigned char {
    kOpen,    // anyone
    kCaller,  // as on gRPC: a token where there are tokens
  };
  // What a request brings.
  enum class Body : unsigned char {
    kNone,
    kJson,   // application/json, or another type is refused
    kBytes,  // application/octet-stream
  };
  using Handler = std::function<void(HttpRequest, const Caller&, const std::shared_ptr<Exchange>&)>;
  // Of a request that is answered at once.
  using QuickHandler = std::function<HttpResponse(const HttpRequest&, const Caller&)>;
  // A refusal in the words of a part of the API. `status` is of HTTP; `reason` may be empty.
  using Refusal =
      std::function<HttpResponse(int status, std::string_view message, std::string_view reason)>;

  struct Config {
    // By what names, besides addresses and localhost, this server may be called.
    std::vector<std::string> host_names;
    // "https://app.example", as browsers send it; "*": any, without credentials.
    std::vector<std::string> origins;
    TenantRates* rates = nullptr;   // null: calls are not counted
    RefusalAudit* audit = nullptr;  // null: nobody hears of refused credentials
  };
  // `tenants` and what the config points to outlive the router.
  Router(const Tenants* tenants, Config config);

  struct Route {
    std::string method;
    // "/v1/sessions/{id}": what stands in braces is one segment, of any value.
    std::string path;
    Access access = Access::kCaller;
    Body body = Body::kNone;
    // Of its body, in bytes; 0: --max-http-body-bytes.
    size_t body_bytes = 0;
    // Asked before a long body is read, once the caller is known; what it returns is the request's
    // `admission`. Empty: nothing is asked.
    std::function<absl::StatusOr<std::shared_ptr<void>>()> admit{};
    Handler handler;
  };
  void Add(Route route);
  // GET is asked for HEAD, too; the body is left out then.
  void AddGet(std::string path, Access access, QuickHandler handler);
  // Refusals below this path are made by `refusal`; elsewhere they are a line of text.
  void RefuseBelow(std::string path, Refusal refusal);
  const std::vector<Route>& routes() const { return routes_; }

  // The most bytes of a body that this request may bring; nothing: the preset.
  std::optional<size_t> BodyBytes(std::string_view method, std::string_view target) const;
  // What every answer to this request says of who may read it (CORS).
  std::vector<std::pair<std::string, std::string>> CorsOf(const HttpRequest& request) const;
  // Before a long body of it is read: what is wrong with the request, if anything is.
  std::optional<HttpResponse> Admit(HttpRequest* head) const;
  // To a body that is larger than that.
  HttpResponse BodyTooLarge(std::string_view target) const;
  void Handle(HttpRequest request, const std::shared_ptr<Exchange>& exchange) const;

 private:
  using Segments = std::vector<std::string_view>;

  const Route* Find(std::string_view method, const Segments& path) const;
  std::string MethodsOf(const Segments& path) const;
  bool IsAllowedHost(std::string_view host) const;
  // Whether a page of the request's origin may ask.
  bool IsAllowedOrigin(const HttpRequest& request) const;
  bool IsListed(std::string_view origin) const;
  HttpResponse Refuse(const HttpRequest& request, int status, std::string_view message,
                      std::string_view reason = "") const;
  // Of a limit, with when to try again.
  HttpResponse RefuseLimit(const HttpRequest& request, const absl::Status& status) const;
  absl::StatusOr<Caller> Authenticate(const HttpRequest& request, const Route& route) const;
  // What is wrong with the request before any route is looked for.
  std::optional<HttpResponse> CheckHeaders(const HttpRequest& request) const;
  // Finds the route, fills in the path's values and who calls; or an answer without a route.
  std::optional<HttpResponse> Resolve(HttpRequest* request, const Route** route,
                                      Caller* caller) const;

  const Tenants* const tenants_;
  const Config config_;  // host names in lower case
  std::vector<Route> routes_;
  std::vector<std::pair<std::string, Refusal>> refusals_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_ROUTER_H_
