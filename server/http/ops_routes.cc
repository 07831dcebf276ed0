// See ops_routes.h.
#include "server/http/ops_routes.h"

namespace ssmd::server {

void AddOpsRoutes(const OpsRoutes& routes, Router* router) {
  router->AddGet("/metrics", routes.metrics_open ? Router::Access::kOpen : Router::Access::kCaller,
                 [metrics = routes.metrics](const HttpRequest&, const Caller&) {
                   HttpResponse response;
                   response.content_type = "text/plain; version=0.0.4; charset=utf-8";
                   response.body = metrics();
                   return response;
                 });
  // Alive: the process answers and computes. Ready: it takes new turns.
  router->AddGet(
      "/healthz", Router::Access::kOpen, [alive = routes.alive](const HttpRequest&, const Caller&) {
        return alive() ? PlainResponse(200, "ok") : PlainResponse(503, "a step is stuck");
      });
  router->AddGet("/readyz", Router::Access::kOpen,
                 [ready = routes.ready, note = routes.note](const HttpRequest&, const Caller&) {
                   if (!ready()) return PlainResponse(503, "not ready");
                   const std::string line = note();
                   return PlainResponse(200, line.empty() ? "ready" : "ready\n" + line);
                 });
}

}  // namespace ssmd::server
