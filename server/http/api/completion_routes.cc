// See completion_routes.h.
#include "server/http/api/completion_routes.h"

#include <chrono>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"
#include "server/http/api/api_error.h"
#include "server/http/api/completion_call.h"
#include "server/http/api/json_out.h"

namespace ssmd::server {
namespace {

void AddModel(const ServedModel& model, int64_t created, JsonOut* out) {
  out->Begin().Add("id", model.name).Add("object", "model").Add("created", created);
  out->Add("owned_by", "ssmd").Begin("ssmd");
  out->Add("architecture", model.info.architecture);
  out->Add("weights", model.info.weights);
  out->Add("state", model.info.state);
  out->Add("parameters", model.info.parameters);
  out->Add("vocabulary_size", int64_t{model.vocabulary_size()});
  out->Add("state_bytes_per_session", model.state_bytes_per_session);
  out->Add("state_slots", int64_t{model.state_slots});
  out->Add("max_history_tokens", model.max_history_tokens);
  out->AddFlag("has_tokenizer", model.has_tokenizer);
  out->Add("chat_format", model.chat_format).Add("device", model.device);
  out->Add("numerics_profile", model.numerics_profile).End().End();
}

// When the daemon started: models have no other date.
int64_t CreatedOf(const ServiceContext& services) {
  const auto up = std::chrono::steady_clock::now() - services.started_at;
  const auto started = std::chrono::system_clock::now().time_since_epoch() - up;
  return std::chrono::duration_cast<std::chrono::seconds>(started).count();
}

void AddEndpoint(const ServiceContext& services, const std::string& path,
                 const CompletionEndpoint& endpoint, Router* router) {
  Router::Route route;
  route.method = std::string("POST");
  route.path = path;
  route.body = Router::Body::kJson;
  route.handler = [&services, &endpoint](HttpRequest request, const Caller& caller,
                                         const std::shared_ptr<Exchange>& exchange) {
    CompletionCall::Start(services, endpoint, std::move(request), caller, exchange);
  };
  router->Add(std::move(route));
}

}  // namespace

void AddCompletionRoutes(const ServiceContext& services, Router* router) {
  router->AddGet("/v1/models", Router::Access::kCaller,
                 [&services](const HttpRequest&, const Caller&) {
                   JsonOut out;
                   out.Begin().Add("object", "list").BeginList("data");
                   for (const ServedModel& model : services.engine->Models()) {
                     AddModel(model, CreatedOf(services), &out);
                   }
                   return JsonResponse(out.EndList().End().Take());
                 });
  router->AddGet("/v1/models/{model}", Router::Access::kCaller,
                 [&services](const HttpRequest& request, const Caller&) {
                   const std::string& name = request.path_values.at("model");
                   for (const ServedModel& model : services.engine->Models()) {
                     if (model.name != name) continue;
                     JsonOut out;
                     AddModel(model, CreatedOf(services), &out);
                     return JsonResponse(out.Take());
                   }
                   return ErrorResponse(WithReason(
                       absl::NotFoundError("no model of that name is served: GET /v1/models"),
                       reason::kModelNotFound));
                 });
  AddEndpoint(services, "/v1/completions", kCompletionsEndpoint, router);
  AddEndpoint(services, "/v1/chat/completions", kChatEndpoint, router);
  AddEndpoint(services, "/v1/responses", kResponsesEndpoint, router);
}

}  // namespace ssmd::server
