// Which function answers which HTTP request, and what is checked before it is asked: the method,
// the Host header (a page in a browser could otherwise reach a daemon on the loopback by a name
// that resolves there), and the token where a route wants one.
//
// Built once, then read by the HTTP thread.
#ifndef SSMD_SERVER_HTTP_ROUTER_H_
#define SSMD_SERVER_HTTP_ROUTER_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/access/tenants.h"

namespace ssmd::server {

struct HttpRequest {
  std::string method;                       // "GET"
  std::string target;                       // "/metrics?x=y"
  std::vector<std::string> hosts;           // values of the Host header, as many as there were
  std::vector<std::string> authorizations;  // of the Authorization header
  std::string body;
  bool loopback_peer = false;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // further ones
};

HttpResponse PlainResponse(int status, std::string_view text);  // adds a line end

class Router {
 public:
  enum class Access : unsigned char {
    kOpen,    // anyone
    kCaller,  // as on gRPC: a token where there are tokens
  };
  using Handler = std::function<HttpResponse(const HttpRequest&, const Caller&)>;

  // `host_names`: by what names, besides addresses and localhost, this server may be called.
  // `tenants` outlives the router.
  Router(const Tenants* tenants, std::vector<std::string> host_names);

  // GET is asked for HEAD, too; the body is left out then.
  void Add(std::string method, std::string path, Access access, Handler handler);
  HttpResponse Handle(const HttpRequest& request) const;

 private:
  struct Route {
    Access access = Access::kCaller;
    Handler handler;
  };
  bool IsAllowedHost(std::string_view host) const;
  HttpResponse Run(const Route& route, const HttpRequest& request) const;

  const Tenants* const tenants_;
  const std::vector<std::string> host_names_;                   // lower case
  std::map<std::string, std::map<std::string, Route>> routes_;  // path, method
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_ROUTER_H_
