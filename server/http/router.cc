// See router.h.
#include "server/http/router.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/access/listen_address.h"

namespace ssmd::server {
namespace {

// "localhost:8080" → "localhost", "[::1]:8080" → "::1"; nothing when it is not HOST[:PORT].
std::optional<std::string> HostName(std::string_view host) {
  std::string_view name = host;
  std::string_view rest;
  if (!host.empty() && host.front() == '[') {
    const size_t end = host.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    name = host.substr(1, end - 1);
    rest = host.substr(end + 1);
  } else if (const size_t colon = host.find(':'); colon != std::string_view::npos) {
    name = host.substr(0, colon);
    rest = host.substr(colon);
  }
  if (!rest.empty() &&
      (rest.front() != ':' || rest.find_first_not_of("0123456789", 1) != std::string_view::npos)) {
    return std::nullopt;
  }
  return absl::AsciiStrToLower(absl::string_view(name.data(), name.size()));
}

}  // namespace

HttpResponse PlainResponse(int status, std::string_view text) {
  HttpResponse response;
  response.status = status;
  response.body = absl::StrCat(absl::string_view(text.data(), text.size()), "\n");
  return response;
}

Router::Router(const Tenants* tenants, std::vector<std::string> host_names)
    : tenants_(tenants), host_names_([&host_names] {
        for (std::string& name : host_names) absl::AsciiStrToLower(&name);
        return std::move(host_names);
      }()) {}

void Router::Add(std::string method, std::string path, Access access, Handler handler) {
  routes_[std::move(path)][std::move(method)] = Route{access, std::move(handler)};
}

bool Router::IsAllowedHost(std::string_view host) const {
  const auto name = HostName(host);
  if (!name.has_value()) return false;
  return *name == "localhost" || IsIpLiteral(*name) ||
         std::find(host_names_.begin(), host_names_.end(), *name) != host_names_.end();
}

HttpResponse Router::Handle(const HttpRequest& request) const {
  if (request.hosts.size() != 1) return PlainResponse(400, "one Host header is needed");
  if (!IsAllowedHost(request.hosts.front())) {
    return PlainResponse(403, "this server is not called by that Host; see --http-host");
  }
  if (request.target.empty() || request.target.front() != '/') {
    return PlainResponse(400, "the request target must be a path");
  }
  const auto path = routes_.find(request.target.substr(0, request.target.find('?')));
  if (path == routes_.end()) {
    return PlainResponse(404, "not found; there are /metrics, /healthz and /readyz");
  }
  const std::string& asked = request.method == "HEAD" ? std::string("GET") : request.method;
  const auto route = path->second.find(asked);
  if (route == path->second.end()) {
    const auto name = [](std::string* out, const auto& entry) { *out += entry.first; };
    HttpResponse response = PlainResponse(405, "this path does not take that method");
    response.headers.emplace_back("Allow", absl::StrJoin(path->second, ", ", name));
    return response;
  }
  return Run(route->second, request);
}

HttpResponse Router::Run(const Route& route, const HttpRequest& request) const {
  if (route.access == Access::kOpen) return route.handler(request, Caller{});
  std::optional<std::string_view> authorization;
  if (request.authorizations.size() == 1) authorization = request.authorizations.front();
  const auto caller = tenants_->Authenticate(authorization, request.loopback_peer);
  if (caller.ok()) return route.handler(request, *caller);
  HttpResponse response = PlainResponse(401, std::string(caller.status().message()));
  response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace ssmd::server
