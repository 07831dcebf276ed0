// The playground: one page at /, its parts, and /openapi.json, all within the program.
#ifndef SSMD_SERVER_HTTP_WEB_ROUTES_H_
#define SSMD_SERVER_HTTP_WEB_ROUTES_H_

#include "server/http/router.h"

namespace ssmd::server {

// /openapi.json, and with `playground` the page.
void AddWebRoutes(bool playground, Router* router);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_WEB_ROUTES_H_
