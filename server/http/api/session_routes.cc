// See session_routes.h.
#include "server/http/api/session_routes.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/session/session_errors.h"
#include "server/access/tenant_rates.h"
#include "server/access/transfers.h"
#include "server/convert.h"
#include "server/http/api/api_call.h"
#include "server/http/api/api_error.h"
#include "server/http/api/completion_request.h"
#include "server/http/api/export_answer.h"
#include "server/http/api/json_in.h"
#include "server/http/api/json_out.h"
#include "server/http/api/prompt_in.h"

namespace ssmd::server {
namespace {

constexpr int64_t kRevisionMax = std::numeric_limits<int64_t>::max();

// --- Answers ---

const char* NameOf(StateTier tier) {
  switch (tier) {
    case StateTier::kDevice:
      return "device";
    case StateTier::kHost:
      return "host";
    case StateTier::kDisk:
      return "disk";
    case StateTier::kLost:
      return "lost";
  }
  return "lost";
}

void AddPoints(const char* name, const std::vector<PointInfo>& points, JsonOut* out) {
  out->BeginList(name);
  for (const PointInfo& point : points) {
    out->Begin();
    if (!point.name.empty()) out->Add("name", point.name);
    out->AddUnsigned("revision", point.revision).Add("position", point.position);
    out->AddFlag("held", point.held).End();
  }
  out->EndList();
}

void AddSession(const SessionInfo& session, JsonOut* out) {
  out->Begin().Add("id", session.session_id).Add("object", "session");
  out->Add("model", session.model).Add("created", session.created_unix_ms / 1000);
  out->Add("used", session.used_unix_ms / 1000);
  if (session.expires_unix_ms == 0) {
    out->AddNull("expires");
  } else {
    out->Add("expires", session.expires_unix_ms / 1000);
  }
  out->AddUnsigned("revision", session.revision).Add("position", session.position);
  out->Add("pending_tokens", session.pending_tokens).AddFlag("running", session.running);
  out->Add("waiting_turns", int64_t{session.waiting_turns});
  out->AddOrNull("tier", session.tier.has_value() ? NameOf(*session.tier) : "");
  out->Add("state_position", session.state_position).Add("state_bytes", session.state_bytes);
  out->Add("history_hash", absl::StrFormat("%016x", session.history_hash));
  out->AddOrNull("parent_id", session.parent_id).Add("parent_position", session.parent_position);
  AddPoints("checkpoints", session.checkpoints, out);
  AddPoints("turn_ends", session.turn_ends, out);
  out->End();
}

HttpResponse SessionResponse(const SessionInfo& session) {
  JsonOut out;
  AddSession(session, &out);
  return JsonResponse(out.Take());
}

HttpResponse ListResponse(const std::vector<SessionInfo>& sessions,
                          const std::optional<std::string>& next) {
  JsonOut out;
  out.Begin().Add("object", "list").BeginList("data");
  for (const SessionInfo& session : sessions) AddSession(session, &out);
  out.EndList();
  if (next.has_value()) out.AddFlag("has_more", !next->empty()).AddOrNull("next", *next);
  return JsonResponse(out.End().Take());
}

// --- One request ---

struct Call {
  const ServiceContext& services;
  CallInfo info;
  HttpRequest request;
  std::shared_ptr<Exchange> exchange;
  Admission::Ticket ticket;

  const std::string& id() const { return request.path_values.at("id"); }
  Engine* engine() const { return services.engine; }
  const std::string& tenant() const { return info.caller.tenant; }

  void Answer(absl::StatusOr<HttpResponse> answer) const {
    LogCall(services, info, answer.status());
    HttpResponse response = answer.ok() ? *std::move(answer) : ErrorResponse(answer.status());
    AddCallHeaders(info, &response);
    exchange->Respond(std::move(response));
  }
};
using CallRef = std::shared_ptr<Call>;

CallRef BeginCall(const ServiceContext& services, const char* method, HttpRequest request,
                  const Caller& caller, const std::shared_ptr<Exchange>& exchange) {
  CallInfo info = BeginApiCall(method, request, caller);
  auto call =
      std::make_shared<Call>(Call{services, std::move(info), std::move(request), exchange, {}});
  auto ticket = services.admission->Enter(caller.tenant);
  if (!ticket.ok()) {
    call->Answer(ticket.status());
    return nullptr;
  }
  call->ticket = *std::move(ticket);
  return call;
}

using Work = absl::StatusOr<HttpResponse> (*)(Call& call);

// A route whose work may wait, and is done on the BlockingPool.
void AddRoute(const ServiceContext& services, const char* method, const char* path,
              const char* name, Router::Body body, Work work, Router* router) {
  Router::Route route;
  route.method = std::string(method);
  route.path = std::string(path);
  route.body = body;
  route.handler = [&services, name, work](HttpRequest request, const Caller& caller,
                                          const std::shared_ptr<Exchange>& exchange) {
    const CallRef call = BeginCall(services, name, std::move(request), caller, exchange);
    if (call != nullptr) PostBlocking(services, [call, work] { call->Answer(work(*call)); });
  };
  router->Add(std::move(route));
}

// --- The routes' work ---

void ReadRevision(JsonIn* in, const std::function<void(uint64_t)>& set) {
  if (const auto revision = in->Long("expected_revision", 0, kRevisionMax)) {
    set(static_cast<uint64_t>(*revision));
  }
}

absl::StatusOr<HttpResponse> Get(Call& call) {
  v1::GetSessionRequest message;
  message.set_session_id(call.id());
  SSMD_RETURN_IF_ERROR(Validate(message, call.services.limits));
  SSMD_ASSIGN_OR_RETURN(const SessionInfo session,
                        call.engine()->GetSession(call.tenant(), call.id()));
  return SessionResponse(session);
}

absl::StatusOr<HttpResponse> List(Call& call) {
  v1::ListSessionsRequest message;
  message.set_model(call.request.Query("model").value_or(""));
  message.set_parent_id(call.request.Query("parent_id").value_or(""));
  message.set_page_token(call.request.Query("after").value_or(""));
  int32_t limit = 0;
  const auto text = call.request.Query("limit");
  const bool number = !text.has_value() || absl::SimpleAtoi(*text, &limit);
  if (!number || limit < 0 || limit > kPageSizeMax) {
    return InvalidField(absl::StrCat("limit must be in [0, ", kPageSizeMax, "]"));
  }
  message.set_page_size(limit);
  if (!message.page_token().empty() && !IsSessionId(message.page_token())) {
    return InvalidField("after is not what a list of sessions gave as its next");
  }
  SSMD_RETURN_IF_ERROR(Validate(message, call.services.limits));
  SSMD_ASSIGN_OR_RETURN(
      const SessionPage page,
      call.engine()->ListSessions(call.tenant(), {message.model(), message.parent_id()},
                                  limit == 0 ? kPageSizeDefault : limit, message.page_token()));
  return ListResponse(page.sessions, page.next_page_token);
}

absl::StatusOr<HttpResponse> Delete(Call& call) {
  v1::DeleteSessionRequest message;
  message.set_session_id(call.id());
  SSMD_RETURN_IF_ERROR(Validate(message, call.services.limits));
  SSMD_RETURN_IF_ERROR(call.engine()->DeleteSession(call.tenant(), call.id(), std::nullopt));
  JsonOut out;
  out.Begin().Add("id", call.id()).Add("object", "session.deleted").AddFlag("deleted", true).End();
  return JsonResponse(out.Take());
}

// An answer that was stored: its session, unless that has gone on.
absl::StatusOr<HttpResponse> DeleteAnswer(Call& call, const char* object) {
  SSMD_ASSIGN_OR_RETURN(const ParentAnswer answer, ParseAnswerId(call.id()));
  SSMD_RETURN_IF_ERROR(
      call.engine()->DeleteSession(call.tenant(), answer.session_id, answer.revision));
  JsonOut out;
  out.Begin().Add("id", call.id()).Add("object", object).AddFlag("deleted", true).End();
  return JsonResponse(out.Take());
}
absl::StatusOr<HttpResponse> DeleteResponse(Call& call) { return DeleteAnswer(call, "response"); }
absl::StatusOr<HttpResponse> DeleteChat(Call& call) {
  return DeleteAnswer(call, "chat.completion.deleted");
}

absl::StatusOr<HttpResponse> Fork(Call& call) {
  SSMD_ASSIGN_OR_RETURN(const JsonDocument body, ParseBody(std::move(call.request.body), true));
  JsonIn in(body.root(), "");
  v1::ForkSessionRequest message;
  message.set_session_id(call.id());
  if (const auto count = in.Int("count")) message.set_count(*count);
  auto checkpoint = in.Text("checkpoint");
  const auto position = in.Long("position", 0, kRevisionMax);
  if (checkpoint.has_value() && position.has_value()) {
    return InvalidField("checkpoint and position exclude each other");
  }
  if (checkpoint.has_value()) message.set_checkpoint(*std::move(checkpoint));
  if (position.has_value()) message.set_position(*position);
  ReadRevision(&in, [&message](uint64_t value) { message.set_expected_revision(value); });
  ReadLifetime(&in, message.mutable_lifetime());
  SSMD_RETURN_IF_ERROR(in.Check());
  SSMD_ASSIGN_OR_RETURN(const ForkOptions options, FromProto(message, call.services.limits));
  SSMD_ASSIGN_OR_RETURN(const std::vector<SessionInfo> children,
                        call.engine()->ForkSession(call.tenant(), call.id(), options));
  return ListResponse(children, std::nullopt);
}

absl::StatusOr<HttpResponse> Rewind(Call& call) {
  SSMD_ASSIGN_OR_RETURN(const JsonDocument body, ParseBody(std::move(call.request.body)));
  JsonIn in(body.root(), "");
  v1::RewindSessionRequest message;
  message.set_session_id(call.id());
  int given = 0;
  if (auto checkpoint = in.Text("checkpoint"); checkpoint.has_value()) {
    message.set_checkpoint(*std::move(checkpoint));
    ++given;
  }
  if (const auto position = in.Long("position", 0, kRevisionMax)) {
    message.set_position(*position);
    ++given;
  }
  if (const auto turns = in.Int("turns")) {
    message.set_turns(*turns);
    ++given;
  }
  if (const auto recompute = in.Flag("allow_recompute")) message.set_allow_recompute(*recompute);
  ReadRevision(&in, [&message](uint64_t value) { message.set_expected_revision(value); });
  SSMD_RETURN_IF_ERROR(in.Check());
  if (given > 1) return InvalidField("checkpoint, position and turns exclude each other");
  SSMD_ASSIGN_OR_RETURN(const RewindTarget target, FromProto(message, call.services.limits));
  SSMD_ASSIGN_OR_RETURN(const SessionInfo session,
                        call.engine()->RewindSession(call.tenant(), call.id(), target));
  return SessionResponse(session);
}

absl::StatusOr<HttpResponse> Checkpoint(Call& call) {
  SSMD_ASSIGN_OR_RETURN(const JsonDocument body, ParseBody(std::move(call.request.body)));
  JsonIn in(body.root(), "");
  v1::CheckpointSessionRequest message;
  message.set_session_id(call.id());
  if (auto name = in.Text("name")) message.set_name(*std::move(name));
  if (const auto remove = in.Flag("remove")) message.set_remove(*remove);
  ReadRevision(&in, [&message](uint64_t value) { message.set_expected_revision(value); });
  SSMD_RETURN_IF_ERROR(in.Check());
  SSMD_ASSIGN_OR_RETURN(const CheckpointOptions options, FromProto(message, call.services.limits));
  SSMD_ASSIGN_OR_RETURN(const SessionInfo session,
                        call.engine()->CheckpointSession(call.tenant(), call.id(), options));
  return SessionResponse(session);
}

// --- Those that are answered later ---

absl::StatusOr<CreateSessionRequest> ParseCreate(const Call& call, std::string text) {
  SSMD_ASSIGN_OR_RETURN(const JsonDocument body, ParseBody(std::move(text), true));
  JsonIn in(body.root(), "");
  v1::CreateSessionRequest message;
  int given = 0;
  if (auto model = in.Text("model")) message.set_model(*std::move(model));
  if (auto prompt = in.Text("text")) {
    message.set_text(*std::move(prompt));
    ++given;
  }
  if (const auto ids = in.Ids("token_ids")) {
    message.mutable_token_ids()->mutable_ids()->Add(ids->begin(), ids->end());
    ++given;
  }
  if (v1::ChatMessages messages; in.Any("messages").has_value()) {
    ReadMessages(&in, "messages", &messages);
    *message.mutable_messages() = std::move(messages);
    ++given;
  }
  if (const auto parse = in.Flag("parse_special")) message.set_parse_special(*parse);
  ReadLifetime(&in, message.mutable_lifetime());
  SSMD_RETURN_IF_ERROR(in.Check());
  if (given > 1) return InvalidField("text, token_ids and messages exclude each other");
  SSMD_ASSIGN_OR_RETURN(CreateSessionRequest create, FromProto(message, call.services.limits));
  create.tenant = call.tenant();
  return create;
}

// An error about ids, which the engine calls the prompt.
absl::Status InWordsOfCreate(const absl::Status& status) {
  constexpr std::string_view kIds = "prompt: ";
  const std::string message(status.message());
  if (ReasonOf(status) != reason::kInvalidField || !absl::StartsWith(message, View(kIds))) {
    return status;
  }
  return InvalidField("token_ids: " + message.substr(kIds.size()));
}

void Create(const CallRef& call) {
  auto create = ParseCreate(*call, std::move(call->request.body));
  if (!create.ok()) return call->Answer(create.status());
  if (const absl::Status left = call->services.rates->CheckTokens(call->info.caller); !left.ok()) {
    return call->Answer(left);
  }
  PostBlocking(call->services, [call, create = *std::move(create)] {
    // The caller that goes away leaves a session that has read its prompt: as with gRPC's, it is
    // listed.
    call->engine()->CreateSession(create, call->info.request_id,
                                  [call](const absl::StatusOr<SessionInfo>& session) {
                                    if (session.ok())
                                      return call->Answer(SessionResponse(*session));
                                    call->Answer(InWordsOfCreate(session.status()));
                                  });
  });
}

void Export(const CallRef& call) {
  v1::ExportSessionRequest message;
  message.set_session_id(call->id());
  message.set_checkpoint(call->request.Query("checkpoint").value_or(""));
  if (const absl::Status status = Validate(message, call->services.limits); !status.ok()) {
    return call->Answer(status);
  }
  auto entered = call->services.transfers->Enter();
  if (!entered.ok()) return call->Answer(entered.status());
  // Shared, because a std::function must be copyable.
  const auto transfer = std::make_shared<Transfers::Ticket>(*std::move(entered));
  PostBlocking(call->services, [call, transfer, message] {
    call->engine()->ExportSession(
        call->tenant(), message.session_id(), message.checkpoint(),
        [call, transfer](absl::StatusOr<EncodedSnapshot> snapshot) {
          if (!snapshot.ok()) return call->Answer(snapshot.status());
          LogCall(call->services, call->info, absl::OkStatus());
          ExportAnswer::Start(*std::move(snapshot), call->exchange, {call, transfer});
        });
  });
}

absl::StatusOr<bool> QueryFlag(const HttpRequest& request, const char* name) {
  const std::string text = request.Query(name).value_or("false");
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return InvalidField(absl::StrCat(name, " must be true or false"));
}

absl::StatusOr<HttpResponse> Import(Call& call) {
  std::shared_ptr<void> transfer = call.request.admission;
  if (transfer == nullptr) {  // a short one
    SSMD_ASSIGN_OR_RETURN(Transfers::Ticket ticket, call.services.transfers->Enter());
    transfer = std::make_shared<Transfers::Ticket>(std::move(ticket));
  }
  v1::ImportSessionRequest message;
  message.set_model(call.request.Query("model").value_or(""));
  SSMD_ASSIGN_OR_RETURN(const bool inexact, QueryFlag(call.request, "allow_inexact"));
  SSMD_ASSIGN_OR_RETURN(const bool rebuild, QueryFlag(call.request, "rebuild"));
  message.set_allow_inexact(inexact);
  message.set_rebuild(rebuild);
  SSMD_ASSIGN_OR_RETURN(const Engine::ImportOptions options,
                        FromProto(message, call.services.limits));
  SSMD_ASSIGN_OR_RETURN(const SessionInfo session,
                        call.engine()->ImportSession(call.tenant(), options, call.request.body));
  return SessionResponse(session);
}

size_t SnapshotBytesMax(const ServiceContext& services) {
  int64_t most = 0;
  for (const ServedModel& model : services.engine->Models()) {
    most = std::max(most, services.engine->SnapshotBytesMax(model.name).value_or(0));
  }
  return static_cast<size_t>(most);
}

template <typename Start>
Router::Route LaterRoute(const ServiceContext& services, const char* method, const char* path,
                         const char* name, Start start) {
  Router::Route route;
  route.method = std::string(method);
  route.path = std::string(path);
  route.handler = [&services, name, start](HttpRequest request, const Caller& caller,
                                           const std::shared_ptr<Exchange>& exchange) {
    const CallRef call = BeginCall(services, name, std::move(request), caller, exchange);
    if (call != nullptr) start(call);
  };
  return route;
}

}  // namespace

void AddSessionRoutes(const ServiceContext& services, Router* router) {
  constexpr Router::Body kNone = Router::Body::kNone;
  constexpr Router::Body kJson = Router::Body::kJson;
  constexpr char kOne[] = "/v1/sessions/{id}";
  AddRoute(services, "GET", "/v1/sessions", "ListSessions", kNone, &List, router);
  AddRoute(services, "GET", kOne, "GetSession", kNone, &Get, router);
  AddRoute(services, "DELETE", kOne, "DeleteSession", kNone, &Delete, router);
  AddRoute(services, "DELETE", "/v1/responses/{id}", "DeleteResponse", kNone, &DeleteResponse,
           router);
  AddRoute(services, "DELETE", "/v1/chat/completions/{id}", "DeleteChatCompletion", kNone,
           &DeleteChat, router);
  AddRoute(services, "POST", "/v1/sessions/{id}/fork", "ForkSession", kJson, &Fork, router);
  AddRoute(services, "POST", "/v1/sessions/{id}/rewind", "RewindSession", kJson, &Rewind, router);
  AddRoute(services, "POST", "/v1/sessions/{id}/checkpoint", "CheckpointSession", kJson,
           &Checkpoint, router);
  Router::Route create = LaterRoute(services, "POST", "/v1/sessions", "CreateSession", &Create);
  create.body = kJson;
  router->Add(std::move(create));
  router->Add(LaterRoute(services, "GET", "/v1/sessions/{id}/export", "ExportSession", &Export));
  Router::Route import =
      LaterRoute(services, "POST", "/v1/sessions/import", "ImportSession", [](const CallRef& call) {
        PostBlocking(call->services, [call] { call->Answer(Import(*call)); });
      });
  import.body = Router::Body::kBytes;
  import.body_bytes = SnapshotBytesMax(services);
  import.admit = [&services]()->absl::StatusOr<std::shared_ptr<void>> {
    SSMD_ASSIGN_OR_RETURN(Transfers::Ticket ticket, services.transfers->Enter());
  return std::shared_ptr<void>(std::make_shared<Transfers::Ticket>(std::move(ticket)));
};
router->Add(std::move(import));
}  // namespace ssmd::server

}  // namespace ssmd::server
