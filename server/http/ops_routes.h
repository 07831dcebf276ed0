// The routes for those who operate the daemon: /metrics, /healthz, /readyz.
#ifndef SSMD_SERVER_HTTP_OPS_ROUTES_H_
#define SSMD_SERVER_HTTP_OPS_ROUTES_H_

#include <functional>
#include <string>

#include "server/http/router.h"

namespace ssmd::server {

struct OpsRoutes {
  std::function<std::string()> metrics;  // Prometheus text
  std::function<bool()> alive;
  std::function<bool()> ready;
  std::function<std::string()> note;  // what is not as it should be, though ready; "" or a line
  bool metrics_open = false;          // else as Router::Access::kCaller
};
void AddOpsRoutes(const OpsRoutes& routes, Router* router);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_OPS_ROUTES_H_
