// ServingEngine: requests that were sent before.
#include <utility>
#include <variant>

#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "engine/serving_engine.h"

namespace ssmd {

// Whether the request is known already, and its answer goes to the stream.
absl::StatusOr<bool> ServingEngine::FindAnswer(size_t model, const GenerateRequest& request,
                                               const std::string& request_id,
                                               const std::shared_ptr<OutputStream>& stream) {
  if (request.key.request_id.empty()) return false;
  const SessionKey session{request.tenant, request.session_id};
  SSMD_ASSIGN_OR_RETURN(const SessionTable::Retry found,
                        sessions_->FindRequest(request.tenant, request.session_id, request.key));
  if (std::holds_alternative<SessionTable::NewRequest>(found)) return false;
  if (const auto* result = std::get_if<TurnResult>(&found)) {
    if (sharing_ == nullptr || request.durability != Durability::kReplicated) {
      PushResult(*models_[model], session, request_id, *result, stream.get());
      return true;
    }
    // It may be that the store was not told, and that this is why there is a retry.
    sharing_->WhenWritten(session, [this, model, session, request_id, result = *result,
                                    stream](const absl::Status& status) {
      if (status.ok()) {
        PushResult(*models_[model], session, request_id, result, stream.get());
      } else {
        stream->Finish(status);
      }
    });
    return true;
  }
  loop_->Post([this, model, session, key = request.key, request_id, stream] {
    if (runners_[model]->TakeOver(session, key.request_id, stream)) return;
    // It has ended since it was found.
    const auto now = sessions_->FindRequest(session.tenant, session.id, key);
    const auto* ended = now.ok() ? std::get_if<TurnResult>(&*now) : nullptr;
    if (ended != nullptr) {
      PushResult(*models_[model], session, request_id, *ended, stream.get());
    } else {
      stream->Finish(now.ok() ? absl::AbortedError(
                                    "the request that this is a retry of has failed: retry again")
                              : now.status());
    }
  });
  return true;
}

void ServingEngine::PushResult(const ModelInService& model, const SessionKey& session,
                               const std::string& request_id, const TurnResult& result,
                               OutputStream* stream) const {
  StartedEvent started;
  started.request_id = request_id;
  started.model = model.name;
  started.session_id = session.id;
  started.base_revision = result.base_revision;
  started.state_source = result.state_source;
  started.seed = result.seed;
  started.numerics_profile = model.identity.numerics_profile;
  started.replayed = true;
  stream->Push(std::move(started));
  int32_t index = 0;
  for (const ChoiceResult& choice : result.choices) {
    DeltaEvent delta;
    delta.choice = index;
    delta.text = choice.text;
    delta.token_ids = choice.token_ids;
    stream->Push(std::move(delta));
    ChoiceFinishedEvent finished;
    finished.choice = index++;
    finished.reason = choice.reason;
    finished.stop_reason = choice.stop_reason;
    finished.history_token_ids = choice.history_token_ids;
    finished.session_id = choice.session_id;
    finished.revision = choice.revision;
    finished.usage = choice.usage;
    stream->Push(std::move(finished));
  }
  FinalEvent final_event;
  final_event.usage = result.usage;
  final_event.state_source = result.state_source;
  stream->Push(final_event);
  stream->Finish(absl::OkStatus());
}

}  // namespace ssmd
