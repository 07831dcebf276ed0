// /v1/sessions: SessionService over HTTP. OpenAI has nothing of the kind.
#ifndef SSMD_SERVER_HTTP_API_SESSION_ROUTES_H_
#define SSMD_SERVER_HTTP_API_SESSION_ROUTES_H_

#include "server/http/router.h"
#include "server/services.h"

namespace ssmd::server {

// `services` outlives the router.
void AddSessionRoutes(const ServiceContext& services, Router* router);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_API_SESSION_ROUTES_H_
