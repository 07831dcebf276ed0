// See memory_call.h.
#include "server/grpc/memory_call.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "server/access/tenant_rates.h"
#include "server/convert_enums.h"
#include "server/telemetry/metrics.h"
#include "server/work_queue.h"

namespace ssmd::server {
namespace {

absl::Status CallerWentAway() { return absl::CancelledError("the caller went away"); }

}  // namespace

MemoryCall::MemoryCall(const ServiceContext& services, grpc::CallbackServerContext* context)
    : services_(services),
      context_(context),
      idle_(services.idle, context),
      wait_(services.watch, context) {}

MemoryCall* MemoryCall::Start(const ServiceContext& services,
                              grpc::CallbackServerContext* context) {
  auto* call = new MemoryCall(services, context);
  if (const absl::Status status = call->Begin(); !status.ok()) {
    call->End(status);
  } else {
    call->WaitForClient();
  }
  return call;
}

absl::Status MemoryCall::Begin() {
  SSMD_RETURN_IF_ERROR(BeginCall(services_, "Memory", context_, &info_));
  SSMD_ASSIGN_OR_RETURN(ticket_, services_.admission->Enter(info_.caller.tenant));
  return absl::OkStatus();
}

void MemoryCall::WaitForClient() {
  idle_.Begin();
  // In this order: whoever drains says so before it breaks off calls that are idle.
  if (services_.draining()) {
    End(WithReason(absl::UnavailableError("the server is draining: go on with another one"),
                   reason::kDraining));
  } else {
    StartRead(&incoming_);
  }
}

void MemoryCall::OnReadDone(bool ok) {
  idle_.End();
  if (!ok) {  // the end of what the client sends, or of the client
    End(context_->IsCancelled() ? CallerWentAway() : absl::OkStatus());
  } else if (const absl::Status status = Take(incoming_); !status.ok()) {
    End(status);
  }
}

absl::Status MemoryCall::Take(const grpc::ByteBuffer& bytes) {
  v1::MemoryRequest message;
  SSMD_RETURN_IF_ERROR(ParseMessage(bytes, &message));
  if (message.has_open() != session_id_.empty()) {
    return InvalidField("the first message must be an open, and no later one may be");
  }
  switch (message.action_case()) {
    case v1::MemoryRequest::kOpen:
      return Open(message.open());
    case v1::MemoryRequest::kAppend:
      return Append(message.append());
    case v1::MemoryRequest::kQuery:
      return Query(message.query());
    case v1::MemoryRequest::ACTION_NOT_SET:
      break;
  }
  return InvalidField("an action is needed: set append or query");
}

// --- Open ---

absl::Status MemoryCall::Open(const v1::MemoryOpen& open) {
  SSMD_RETURN_IF_ERROR(Validate(open, services_.limits));
  PostBlocking(services_, [this, open] {
    absl::StatusOr<v1::MemoryOpened> opened = OpenSession(open);
    if (!opened.ok()) {
      End(opened.status());
      return;
    }
    v1::MemoryResponse response;
    *response.mutable_opened() = *std::move(opened);
    Answer(response);
  });
  return absl::OkStatus();
}

absl::StatusOr<v1::MemoryOpened> MemoryCall::OpenSession(const v1::MemoryOpen& open) {
  SessionInfo session;
  if (open.session_id().empty()) {
    // Before there is a session that nobody hears of.
    SSMD_RETURN_IF_ERROR(services_.engine->MemoryOf(open.model()).status());
    SSMD_ASSIGN_OR_RETURN(session, CreateSession(open));
  } else {
    SSMD_ASSIGN_OR_RETURN(session,
                          services_.engine->GetSession(info_.caller.tenant, open.session_id()));
  }
  if (!open.model().empty() && open.model() != session.model) {
    return InvalidField(
        absl::StrCat("model is ", open.model(), ", but the session is of ", session.model));
  }
  if (open.has_expected_revision() && open.expected_revision() != session.revision) {
    return WithReason(
        absl::AbortedError(absl::StrCat("session ", session.session_id, " is at revision ",
                                        session.revision, ", not at ", open.expected_revision())),
        reason::kRevisionMismatch);
  }
  SSMD_ASSIGN_OR_RETURN(memory_, services_.engine->MemoryOf(session.model));
  session_id_ = session.session_id;
  model_ = session.model;
  temporary_ = open.temporary();
  v1::MemoryOpened opened;
  ToProto(session, opened.mutable_session());
  ToProto(memory_, opened.mutable_memory());
  opened.set_samples(session.position / memory_.channels);
  return opened;
}

absl::StatusOr<SessionInfo> MemoryCall::CreateSession(const v1::MemoryOpen& open) {
  SSMD_ASSIGN_OR_RETURN(CreateSessionRequest request, AsCreation(open, services_.limits));
  request.tenant = info_.caller.tenant;
  absl::StatusOr<SessionInfo> created = absl::InternalError("no session was made");
  // Without a prompt the answer comes at once.
  services_.engine->CreateSession(
      std::move(request), info_.request_id,
      [&created](absl::StatusOr<SessionInfo> session) { created = std::move(session); });
  return created;
}

// --- Append ---

absl::Status MemoryCall::Append(const v1::MemoryAppend& append) {
  SSMD_ASSIGN_OR_RETURN(AppendRequest request, FromProto(append, services_.limits));
  SSMD_RETURN_IF_ERROR(services_.rates->CheckTokens(info_.caller));
  request.tenant = info_.caller.tenant;
  request.session_id = session_id_;
  if (info_.trace.has_value()) request.trace_id = info_.trace->trace_id;
  request.deadline = DeadlineOf(*context_);
  auto stream =
      services_.engine->Append(std::move(request), absl::StrCat(info_.request_id, ".", ++appends_));
  if (!stream.ok()) {
    services_.metrics->CountRefused(model_, stream.status());
    return stream.status();
  }
  appended_.Clear();
  bool cancelled = false;
  {
    MutexLock lock(&mutex_);
    append_ = *stream;
    cancelled = cancelled_;
  }
  if (cancelled) (*stream)->Cancel();
  services_.work->Post([this] { Pump(); });
  return absl::OkStatus();
}

void MemoryCall::Pump() {
  std::shared_ptr<OutputStream> stream;
  {
    MutexLock lock(&mutex_);
    stream = append_;
  }
  while (const auto event = stream->Pop()) Note(*event);
  const auto status = stream->status();
  if (!status.has_value()) {
    stream->NotifyWhenReady([this] { services_.work->Post([this] { Pump(); }); });
    return;
  }
  {
    MutexLock lock(&mutex_);
    append_ = nullptr;
  }
  if (status->ok()) {
    Answer(appended_);
  } else {
    End(*status);
  }
}

void MemoryCall::Note(const GenerateEvent& event) {
  v1::MemoryAppended* appended = appended_.mutable_appended();
  if (const auto* started = std::get_if<StartedEvent>(&event)) {
    appended->set_state_source(ToWire(started->state_source));
    appended->set_replayed(started->replayed);
  } else if (const auto* finished = std::get_if<ChoiceFinishedEvent>(&event)) {
    appended->set_revision(finished->revision);
    appended->set_samples(finished->usage.prompt_tokens / memory_.channels);
    appended->set_recomputed_samples(finished->usage.recomputed_tokens);
  }
}

// --- Query ---

absl::Status MemoryCall::Query(const v1::MemoryQuery& query) {
  SSMD_ASSIGN_OR_RETURN(MemoryQuery question, FromProto(query, memory_, services_.limits));
  services_.engine->ReadMemory(
      info_.caller.tenant, session_id_, std::move(question),
      [this](absl::StatusOr<MemoryReading> reading) {
        // Shared, because a std::function must be copyable.
        auto shared = std::make_shared<absl::StatusOr<MemoryReading>>(std::move(reading));
        services_.work->Post([this, shared] {
          if (!shared->ok()) {
            End(shared->status());
            return;
          }
          v1::MemoryResponse response;
          ToProto(**shared, response.mutable_reading());
          Answer(response);
        });
      });
  return absl::OkStatus();
}

// --- Answers and the end ---

void MemoryCall::Answer(const v1::MemoryResponse& response) {
  if (const absl::Status status = SerializeMessage(response, &outgoing_); !status.ok()) {
    End(status);
    return;
  }
  wait_.Begin();
  StartWrite(&outgoing_);
}

void MemoryCall::OnWriteDone(bool ok) {
  wait_.End();
  if (ok) {
    WaitForClient();
  } else {
    End(CallerWentAway());
  }
}

void MemoryCall::OnCancel() {
  std::shared_ptr<OutputStream> append;
  {
    MutexLock lock(&mutex_);
    cancelled_ = true;
    append = append_;
  }
  if (append != nullptr) append->Cancel();
}

void MemoryCall::End(const absl::Status& status) {
  idle_.End();
  LogCall(services_, info_, status);
  if (temporary_) {
    PostBlocking(services_, [engine = services_.engine, tenant = info_.caller.tenant,
                             session_id = session_id_] {
      engine->DeleteSession(tenant, session_id, std::nullopt).IgnoreError();
    });
  }
  Finish(ToGrpc(status, context_));
}

void MemoryCall::OnDone() { delete this; }

}  // namespace ssmd::server
