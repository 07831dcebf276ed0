// OpenAI's endpoints: /v1/models, /v1/completions, /v1/chat/completions, /v1/responses.
#ifndef SSMD_SERVER_HTTP_API_COMPLETION_ROUTES_H_
#define SSMD_SERVER_HTTP_API_COMPLETION_ROUTES_H_

#include "server/http/router.h"
#include "server/services.h"

namespace ssmd::server {

// `services` outlives the router.
void AddCompletionRoutes(const ServiceContext& services, Router* router);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_API_COMPLETION_ROUTES_H_
