// See router.h.
#include "server/http/router.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/errors.h"
#include "engine/base/text_view.h"
#include "server/access/listen_address.h"
#include "server/access/refusal_audit.h"
#include "server/access/tenant_rates.h"

namespace ssmd::server {
namespace {

constexpr char kAnyOrigin[] = "*";
constexpr char kPreflightSeconds[] = "600";

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
  return absl::AsciiStrToLower(View(name));
}

std::string_view PathOf(std::string_view target) { return target.substr(0, target.find('?')); }

std::vector<std::string_view> SegmentsOf(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    segments.push_back(path.substr(0, path.find('/')));
    path.remove_prefix(segments.back().size());
  }
  return segments;
}

bool IsName(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

bool Matches(std::string_view pattern, const std::vector<std::string_view>& path) {
  const std::vector<std::string_view> segments = SegmentsOf(pattern);
  return std::equal(segments.begin(), segments.end(), path.begin(), path.end(),
                    [](std::string_view expected, std::string_view found) {
                      return expected == found || (IsName(expected) && !found.empty());
                    });
}

std::map<std::string, std::string> ValuesIn(std::string_view pattern,
                                            const std::vector<std::string_view>& path) {
  std::map<std::string, std::string> values;
  const std::vector<std::string_view> segments = SegmentsOf(pattern);
  for (size_t i = 0; i < segments.size(); ++i) {
    if (!IsName(segments[i])) continue;
    values[std::string(segments[i].substr(1, segments[i].size() - 2))] = std::string(path[i]);
  }
  return values;
}

// "Application/JSON; charset=utf-8" → "application/json".
std::string MediaType(const std::string& content_type) {
  const std::string type = content_type.substr(0, content_type.find(';'));
  return absl::AsciiStrToLower(absl::StripAsciiWhitespace(type));
}

}  // namespace

Router::Router(const Tenants* tenants, Config config)
    : tenants_(tenants), config_([&config] {
        for (std::string& name : config.host_names) absl::AsciiStrToLower(&name);
        for (std::string& origin : config.origins) absl::AsciiStrToLower(&origin);
        return std::move(config);
      }()) {}

void Router::Add(Route route) { routes_.push_back(std::move(route)); }

void Router::AddGet(std::string path, Access access, QuickHandler handler) {
  Route route;
  route.method = std::string("GET");
  route.path = std::move(path);
  route.access = access;
  route.handler = [handler = std::move(handler)](const HttpRequest& request, const Caller& caller,
                                                 const std::shared_ptr<Exchange>& exchange) {
    exchange->Respond(handler(request, caller));
  };
  Add(std::move(route));
}

void Router::RefuseBelow(std::string path, Refusal refusal) {
  refusals_.emplace_back(std::move(path), std::move(refusal));
}

const Router::Route* Router::Find(std::string_view method, const Segments& path) const {
  const std::string_view asked = method == "HEAD" ? "GET" : method;
  // One without names goes before one with.
  const Route* found = nullptr;
  for (const Route& route : routes_) {
    if (route.method != asked || !Matches(route.path, path)) continue;
    if (found == nullptr || found->path.find('{') != std::string::npos) found = &route;
  }
  return found;
}

std::string Router::MethodsOf(const Segments& path) const {
  std::set<std::string> methods;
  for (const Route& route : routes_) {
    if (Matches(route.path, path)) methods.insert(route.method);
  }
  return absl::StrJoin(methods, ", ");
}

bool Router::IsAllowedHost(std::string_view host) const {
  const auto name = HostName(host);
  if (!name.has_value()) return false;
  const auto& names = config_.host_names;
  return *name == "localhost" || IsIpLiteral(*name) ||
         std::find(names.begin(), names.end(), *name) != names.end();
}

bool Router::IsListed(std::string_view origin) const {
  const std::string lower = absl::AsciiStrToLower(View(origin));
  return std::any_of(
      config_.origins.begin(), config_.origins.end(),
      [&lower](const std::string& listed) { return listed == kAnyOrigin || listed == lower; });
}

bool Router::IsAllowedOrigin(const HttpRequest& request) const {
  if (request.origins.empty()) return true;
  if (request.origins.size() != 1) return false;
  const std::string& origin = request.origins.front();
  const std::string& host = request.hosts.front();
  const bool own = absl::EqualsIgnoreCase(origin, "http://" + host) ||
                   absl::EqualsIgnoreCase(origin, "https://" + host);
  return own || IsListed(origin);
}

HttpResponse Router::Refuse(const HttpRequest& request, int status, std::string_view message,
                            std::string_view reason) const {
  for (const auto& [path, refusal] : refusals_) {
    if (absl::StartsWith(request.target, path)) return refusal(status, message, reason);
  }
  return PlainResponse(status, message);
}

HttpResponse Router::RefuseLimit(const HttpRequest& request, const absl::Status& status) const {
  HttpResponse refused = Refuse(request, 429, std::string(status.message()), ReasonOf(status));
  if (const auto delay = RetryAfterOf(status)) AddRetryAfter(*delay, &refused);
  return refused;
}

absl::StatusOr<Caller> Router::Authenticate(const HttpRequest& request, const Route& route) const {
  std::optional<std::string_view> authorization;
  if (!request.authorizations.empty()) authorization = "";  // several count for none
  if (request.authorizations.size() == 1) authorization = request.authorizations.front();
  CredentialFault fault{};
  auto caller = tenants_->Authenticate(authorization, request.peer.loopback, &fault);
  if (!caller.ok() && config_.audit != nullptr) {
    config_.audit->Refused(request.peer.address, absl::StrCat(route.method, " ", route.path), fault,
                           "");
  }
  return caller;
}

std::optional<size_t> Router::BodyBytes(std::string_view method, std::string_view target) const {
  const Route* route = Find(method, SegmentsOf(PathOf(target)));
  if (route == nullptr || route->body_bytes == 0) return std::nullopt;
  return route->body_bytes;
}

HttpResponse Router::BodyTooLarge(std::string_view target) const {
  HttpRequest request;
  request.target = std::string(target);
  return Refuse(request, 413, "the body is larger than this server takes (--max-http-body-bytes)");
}

std::vector<std::pair<std::string, std::string>> Router::CorsOf(const HttpRequest& request) const {
  if (request.origins.size() != 1 || !IsListed(request.origins.front())) return {};
  return {
      {"Access-Control-Allow-Origin", request.origins.front()},
      {"Access-Control-Expose-Headers", "x-request-id, traceparent, Retry-After, Retry-After-Ms"},
      {"Vary", "Origin"}};
}

std::optional<HttpResponse> Router::CheckHeaders(const HttpRequest& request) const {
  if (request.hosts.size() != 1) return Refuse(request, 400, "one Host header is needed");
  if (!IsAllowedHost(request.hosts.front())) {
    return Refuse(request, 403, "this server is not called by that Host; see --http-host");
  }
  if (request.target.empty() || request.target.front() != '/') {
    return Refuse(request, 400, "the request target must be a path");
  }
  if (!IsAllowedOrigin(request)) {
    return Refuse(request, 403,
                  "pages of that Origin may not ask this server; see --http-allow-origin");
  }
  return std::nullopt;
}

std::optional<HttpResponse> Router::Resolve(HttpRequest* request, const Route** route,
                                            Caller* caller) const {
  if (auto refused = CheckHeaders(*request)) return refused;
  const Segments path = SegmentsOf(PathOf(request->target));
  const std::string methods = MethodsOf(path);
  if (methods.empty()) {
    return Refuse(*request, 404, "there is nothing here: /openapi.json lists what there is");
  }
  if (request->method == "OPTIONS" && !request->origins.empty()) {
    HttpResponse preflight;
    preflight.status = 204;
    preflight.headers = {
        {"Access-Control-Allow-Methods", methods},
        {"Access-Control-Allow-Headers", "Authorization, Content-Type, traceparent, *"},
        {"Access-Control-Max-Age", kPreflightSeconds}};
    return preflight;
  }
  *route = Find(request->method, path);
  if (*route == nullptr) {
    HttpResponse refused = Refuse(*request, 405, "this path does not take that method");
    refused.headers.emplace_back("Allow", methods);
    return refused;
  }
  request->path_values = ValuesIn((*route)->path, path);
  if ((*route)->access == Access::kCaller) {
    auto known = Authenticate(*request, **route);
    if (!known.ok()) {
      HttpResponse refused = Refuse(*request, 401, std::string(known.status().message()));
      refused.headers.emplace_back("WWW-Authenticate", "Bearer");
      return refused;
    }
    *caller = *std::move(known);
  }
  const std::string type = MediaType(request->content_type);
  if ((*route)->body == Body::kJson && type != "application/json") {
    return Refuse(*request, 415, "Content-Type must be application/json");
  }
  if ((*route)->body == Body::kBytes && type != "application/octet-stream") {
    return Refuse(*request, 415, "Content-Type must be application/octet-stream");
  }
  return std::nullopt;
}

std::optional<HttpResponse> Router::Admit(HttpRequest* head) const {
  const Route* route = nullptr;
  Caller caller;
  if (auto refused = Resolve(head, &route, &caller)) return refused;
  if (!route->admit) return std::nullopt;
  auto admission = route->admit();
  if (!admission.ok()) return RefuseLimit(*head, admission.status());
  head->admission = *std::move(admission);
  return std::nullopt;
}

void Router::Handle(HttpRequest request, const std::shared_ptr<Exchange>& exchange) const {
  const Route* route = nullptr;
  Caller caller;
  if (auto refused = Resolve(&request, &route, &caller)) {
    exchange->Respond(*std::move(refused));
    return;
  }
  if (route->access == Access::kCaller && config_.rates != nullptr) {
    if (const absl::Status status = config_.rates->TakeCall(caller); !status.ok()) {
      exchange->Respond(RefuseLimit(request, status));
      return;
    }
  }
  route->handler(std::move(request), caller, exchange);
}

}  // namespace ssmd::server
