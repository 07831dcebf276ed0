// See completion_call.h.
#include "server/http/api/completion_call.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "server/convert.h"
#include "server/http/api/api_call.h"
#include "server/http/api/api_error.h"
#include "server/http/api/json_in.h"
#include "server/telemetry/metrics.h"

namespace ssmd::server {
namespace {

// Bodies up to this size are submitted by the HTTP thread itself.
constexpr size_t kQuickBytes = 16384;
// What a token with its log-probability takes as JSON, about.
constexpr int64_t kLogprobBytes = 64;
// Stands for the session that is not made yet.
constexpr char kSessionToBe[] = "new";

int64_t NowUnixSeconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

const CompletionEndpoint kCompletionsEndpoint = {"Completions", kCompletionPrefix, &ParseCompletion,
                                                 &MakeCompletionFormat};
const CompletionEndpoint kChatEndpoint = {"ChatCompletions", kChatPrefix, &ParseChatCompletion,
                                          &MakeChatFormat};
const CompletionEndpoint kResponsesEndpoint = {"Responses", kResponsePrefix, &ParseResponse,
                                               &MakeResponseFormat};

CompletionCall::CompletionCall(const ServiceContext& services, const CompletionEndpoint& endpoint,
                               CallInfo info, std::shared_ptr<Exchange> exchange)
    : services_(services),
      endpoint_(endpoint),
      exchange_(std::move(exchange)),
      info_(std::move(info)) {}

void CompletionCall::Start(const ServiceContext& services, const CompletionEndpoint& endpoint,
                           HttpRequest request, const Caller& caller,
                           std::shared_ptr<Exchange> exchange) {
  std::shared_ptr<CompletionCall> call(new CompletionCall(
      services, endpoint, BeginApiCall(endpoint.method, request, caller), std::move(exchange)));
  const bool quick = request.body.size() <= kQuickBytes;
  if (const absl::Status status = call->Prepare(std::move(request)); !status.ok()) {
    services.metrics->CountRefused(call->request_.turn.model(), status);
    call->EndWith(status);
    return;
  }
  call->exchange_->OnGone([weak = std::weak_ptr<CompletionCall>(call)] {
    if (const auto self = weak.lock()) self->OnGone();
  });
  if (quick && !call->request_.keep) {
    call->Submit();
  } else {
    PostBlocking(services, [call] { call->MakeSessionAndSubmit(); });
  }
}

absl::Status CompletionCall::Prepare(HttpRequest request) {
  SSMD_ASSIGN_OR_RETURN(const JsonDocument body, ParseBody(std::move(request.body)));
  SSMD_ASSIGN_OR_RETURN(request_, endpoint_.parse(body.root()));
  if (request_.keep) request_.turn.set_session_id(kSessionToBe);
  if (request_.turn.commit() == v1::COMMIT_PARTIAL && !request_.stream) {
    return InvalidField("ssmd.commit \"partial\" is for requests with \"stream\": true");
  }
  SSMD_ASSIGN_OR_RETURN(turn_, FromProto(request_.turn, services_.limits));
  SSMD_ASSIGN_OR_RETURN(ticket_, AdmitWork(services_, info_.caller));
  turn_.tenant = info_.caller.tenant;
  if (info_.trace.has_value()) turn_.trace_id = info_.trace->trace_id;
  answer_.choices.resize(static_cast<size_t>(turn_.choices));
  return absl::OkStatus();
}

// --- The session ---

void CompletionCall::MakeSessionAndSubmit() {
  if (request_.keep) {
    absl::StatusOr<SessionInfo> session = MakeSession();
    if (!session.ok()) {
      // Shared, because a Status must not be counted by two threads.
      const auto status = std::make_shared<absl::Status>(UnsharedCopy(session.status()));
      exchange_->Post([self = shared_from_this(), status] { self->EndWith(*status); });
      return;
    }
    turn_.session_id = session->session_id;
    made_ = *std::move(session);
  }
  Submit();
}

absl::StatusOr<SessionInfo> CompletionCall::MakeSession() {
  v1::CreateSessionRequest message;
  message.set_model(request_.turn.model());
  // Whoever stores answers by OpenAI's clients seldom deletes them.
  v1::SessionLifetime& lifetime = request_.lifetime;
  const int64_t idle =
      std::chrono::ceil<std::chrono::seconds>(services_.limits.stored_answer_idle).count();
  if (idle > 0 && !lifetime.has_ttl_seconds() && !lifetime.has_idle_seconds()) {
    lifetime.set_idle_seconds(idle);
  }
  *message.mutable_lifetime() = lifetime;
  SSMD_ASSIGN_OR_RETURN(CreateSessionRequest create, FromProto(message, services_.limits));
  create.tenant = info_.caller.tenant;
  if (!request_.parent_id.empty()) return ForkParent();
  // Without a prompt it is made at once.
  absl::StatusOr<SessionInfo> made = absl::InternalError("the session was not made");
  services_.engine->CreateSession(
      std::move(create), info_.request_id,
      [&made](absl::StatusOr<SessionInfo> session) { made = std::move(session); });
  return made;
}

absl::StatusOr<SessionInfo> CompletionCall::ForkParent() {
  SSMD_ASSIGN_OR_RETURN(const ParentAnswer parent, ParseAnswerId(request_.parent_id));
  SSMD_ASSIGN_OR_RETURN(const SessionInfo session,
                        services_.engine->GetSession(info_.caller.tenant, parent.session_id));
  v1::ForkSessionRequest message;
  message.set_session_id(parent.session_id);
  *message.mutable_lifetime() = request_.lifetime;
  if (session.revision == parent.revision) {
    message.set_expected_revision(parent.revision);
  } else {
    const auto end = std::find_if(
        session.turn_ends.begin(), session.turn_ends.end(),
        [&parent](const PointInfo& point) { return point.revision == parent.revision; });
    if (end == session.turn_ends.end() || !end->held) {
      return WithReason(
          absl::NotFoundError("the session of that answer has gone on, and the state after the "
                              "answer is not held any more"),
          reason::kPointNotHeld);
    }
    message.set_position(end->position);
  }
  SSMD_ASSIGN_OR_RETURN(const ForkOptions options, FromProto(message, services_.limits));
  SSMD_ASSIGN_OR_RETURN(
      const std::vector<SessionInfo> children,
      services_.engine->ForkSession(info_.caller.tenant, parent.session_id, options));
  return children.front();
}

void CompletionCall::DropSession() {
  if (!made_.has_value()) return;
  const SessionInfo made = *std::exchange(made_, std::nullopt);
  // One that the turn has changed is at another revision, and the caller's, who may not want it.
  std::optional<uint64_t> revision;
  if (!request_.forget) revision = made.revision;
  PostBlocking(services_, [engine = services_.engine, tenant = info_.caller.tenant,
                           id = made.session_id, revision, children = std::move(children_)] {
    engine->DeleteSession(tenant, id, revision).IgnoreError();
    for (const std::string& child : children) {
      engine->DeleteSession(tenant, child, std::nullopt).IgnoreError();
    }
  });
}

// --- The turn ---

void CompletionCall::Submit() {
  auto stream = services_.engine->Generate(std::move(turn_), info_.request_id);
  // Shared, because a std::function must be copyable.
  auto submitted = std::make_shared<absl::StatusOr<std::shared_ptr<OutputStream>>>();
  if (stream.ok()) {
    *submitted = *std::move(stream);
  } else {
    *submitted = UnsharedCopy(stream.status());
  }
  exchange_->Post([self = shared_from_this(), submitted] {
    if (!submitted->ok()) {
      self->services_.metrics->CountRefused(self->request_.turn.model(), submitted->status());
      self->EndWith(submitted->status());
      return;
    }
    self->stream_ = **submitted;
    if (self->gone_) self->stream_->Cancel();
    self->Pump();
  });
}

void CompletionCall::Pump() {
  while (const auto event = stream_->Pop()) {
    if (!Take(*event)) return;
  }
  if (const auto status = stream_->status()) {
    EndWith(*status);
    return;
  }
  stream_->NotifyWhenReady(
      [self = shared_from_this()] { self->exchange_->Post([self] { self->Pump(); }); });
}

bool CompletionCall::Take(const GenerateEvent& event) {
  std::string piece;
  if (const auto* started = std::get_if<StartedEvent>(&event)) {
    if (format_ == nullptr) Begin(*started);
    if (request_.stream) piece = format_->Started();
  } else if (const auto* progress = std::get_if<ProgressEvent>(&event)) {
    if (request_.stream) {
      piece = SseComment(absl::StrCat("prefill ", progress->done_tokens, " of ",
                                      progress->total_tokens, " tokens"));
    }
  } else if (const auto* delta = std::get_if<DeltaEvent>(&event)) {
    Collect(*delta);
    if (request_.stream) piece = format_->Delta(*delta);
  } else if (const auto* finished = std::get_if<ChoiceFinishedEvent>(&event)) {
    ChoiceFinishedEvent& kept = answer_.choices[static_cast<size_t>(finished->choice)].finished;
    kept = *finished;
    if (request_.forget) {
      if (answer_.choices.size() > 1) children_.push_back(std::move(kept.session_id));
      kept.session_id.clear();
    }
  } else if (const auto* final_event = std::get_if<FinalEvent>(&event)) {
    answer_.final_event = *final_event;
  }
  if (piece.empty()) {
    if (request_.stream) stream_->NoteAccepted();
    return true;
  }
  Send(std::move(piece));
  return false;
}

void CompletionCall::Begin(const StartedEvent& started) {
  AnswerHead head;
  head.session = !started.session_id.empty() && !request_.forget;
  head.id = absl::StrCat(endpoint_.prefix, info_.request_id);
  const bool children = answer_.choices.size() > 1;
  if (head.session && !children) {
    head.id = AnswerId(endpoint_.prefix, started.session_id, started.base_revision + 1);
  }
  head.created = NowUnixSeconds();
  head.started = started;
  head.choices = static_cast<int32_t>(answer_.choices.size());
  head.logprobs = request_.turn.has_logprobs();
  head.include_usage = request_.include_usage;
  head.parent_id = request_.parent_id;
  const v1::SamplingParams& sampling = request_.turn.sampling();
  if (sampling.has_temperature()) head.temperature = sampling.temperature();
  if (sampling.has_top_p()) head.top_p = sampling.top_p();
  if (request_.turn.has_max_tokens()) head.max_tokens = request_.turn.max_tokens();
  head.instructions = request_.instructions;
  head.token_bytes = [engine = services_.engine, model = started.model](int32_t id) {
    return engine->TokenBytes(model, id);
  };
  format_ = endpoint_.format(std::move(head));
  if (!request_.stream) return;
  HttpResponse begin;
  begin.content_type = "text/event-stream; charset=utf-8";
  begin.headers = {{"X-Accel-Buffering", "no"}};
  AddCallHeaders(info_, &begin);
  exchange_->Begin(std::move(begin), SseComment("keep-alive"));
}

void CompletionCall::Collect(const DeltaEvent& delta) {
  ChoiceAnswer& choice = answer_.choices[static_cast<size_t>(delta.choice)];
  choice.text += delta.text;
  if (request_.stream) return;
  choice.token_ids.insert(choice.token_ids.end(), delta.token_ids.begin(), delta.token_ids.end());
  choice.logprobs.insert(choice.logprobs.end(), delta.logprobs.begin(), delta.logprobs.end());
  collected_bytes_ += static_cast<int64_t>(delta.text.size());
  for (const TokenDetail& detail : delta.logprobs) {
    collected_bytes_ += kLogprobBytes * (1 + static_cast<int64_t>(detail.top.size()));
  }
  if (IsTooLarge()) stream_->Cancel();
}

bool CompletionCall::IsTooLarge() const {
  return collected_bytes_ > services_.limits.whole_answer_bytes;
}

void CompletionCall::Send(std::string piece) {
  writing_ = true;
  exchange_->Write(std::move(piece), [self = shared_from_this()](bool ok) {
    self->writing_ = false;
    if (ok) self->stream_->NoteAccepted();
    if (!ok || self->gone_) self->stream_->Cancel();
    self->exchange_->Post([self] { self->Pump(); });
  });
}

// The piece that is being written may have been read by a caller that left on reading it.
void CompletionCall::OnGone() {
  gone_ = true;
  if (stream_ != nullptr && !writing_) stream_->Cancel();
}

absl::Status CompletionCall::InOurWords(const absl::Status& status) const {
  if (absl::IsCancelled(status) && IsTooLarge()) {
    return InvalidField(
        absl::StrCat("stream must be true for an answer as large as this: whole ones "
                     "have this server's --max-whole-answer-bytes of ",
                     services_.limits.whole_answer_bytes, " at most"));
  }
  // Nobody reads it who has left: the server itself called the turn off.
  if (absl::IsCancelled(status) && services_.draining()) {
    return WithReason(absl::UnavailableError("the server stopped before the answer was complete"),
                      reason::kDraining);
  }
  return Reworded(status, request_);
}

void CompletionCall::EndWith(const absl::Status& end) {
  const absl::Status status = InOurWords(end);
  const bool kept = status.ok() && answer_.choices.size() == 1 && !request_.forget;
  if (!kept) DropSession();
  if (format_ == nullptr) {  // never began
    LogCall(services_, info_, status);
    HttpResponse response = ErrorResponse(status);
    AddCallHeaders(info_, &response);
    exchange_->Respond(std::move(response));
    return;
  }
  if (request_.stream) {
    std::string piece = status.ok() ? format_->Ended(answer_) : format_->Failed(status);
    // Until it is written the call is there, and counted: a daemon that ends waits for it.
    exchange_->Write(std::move(piece),
                     [self = shared_from_this()](bool) { self->exchange_->End(); });
    return;
  }
  HttpResponse response =
      status.ok() ? JsonResponse(format_->Whole(answer_)) : ErrorResponse(status);
  AddCallHeaders(info_, &response);
  response.held = shared_from_this();
  exchange_->Respond(std::move(response));
}

}  // namespace ssmd::server
