// ServingEngine: sessions that replicas share.
#include <future>
#include <utility>

#include "engine/base/errors.h"
#include "engine/base/secure_random.h"
#include "engine/base/status_macros.h"
#include "engine/schedule/prepare.h"
#include "engine/serving_engine.h"
#include "engine/session/session_errors.h"

namespace ssmd {
namespace {

std::vector<int32_t> IdsOf(const TokenLog& tokens) {
  std::vector<int32_t> ids;
  ids.reserve(tokens.size());
  for (const LoggedToken token : tokens) ids.push_back(token.token_id());
  return ids;
}

}  // namespace

absl::Status ServingEngine::OpenSharing() {
  if (sharing_options_.store == nullptr) return absl::OkStatus();
  Replica self;
  self.address = sharing_options_.address;
  self.incarnation = SecureRandomId();
  if (state_dir_.has_value()) {
    SSMD_ASSIGN_OR_RETURN(self.id, state_dir_->ReplicaId());
  } else {
    self.id = SecureRandomId();
  }
  sharing_ =
      SessionSharing::Make(std::move(self), sharing_options_.limits, sharing_options_.store.get(),
                           sessions_.get(), local_log_.get(), ModelsOfSessions(), MakeHooks());
  shared_log_ = std::make_unique<SharedSessionLog>(local_log_.get(), sharing_.get());
  log_ = shared_log_.get();
  return absl::OkStatus();
}

SharingHooks ServingEngine::MakeHooks() {
  SharingHooks hooks;
  hooks.encode_state = [this](const std::string& model, const StateRef& state) {
    return EncodeState(model, state);
  };
  hooks.adopt_state = [this](const std::string& model, const SharedState& state,
                             uint64_t history_hash) {
    return AdoptState(model, state, history_hash);
  };
  hooks.check_image = [this](const SessionImage& image) { return CheckImageHere(image); };
  hooks.on_gone = [this](const SessionKey& key, const std::string& model) {
    const auto index = FindModel(model);
    if (!index.ok()) return;
    loop_->Post(
        [this, index = *index, key] { runners_[index]->DropSession(key, SessionMoved(key.id)); });
  };
  return hooks;
}

absl::Status ServingEngine::CheckImageHere(const SessionImage& image) const {
  SSMD_ASSIGN_OR_RETURN(const size_t index, FindModel(image.model));
  const ModelInService& model = *models_[index];
  const auto tokens = static_cast<int64_t>(image.history.size());
  SSMD_RETURN_IF_ERROR(CheckHistoryLength(tokens, 0, 0, limits_.max_history_tokens));
  SSMD_RETURN_IF_ERROR(CheckTokenIds(model, "the shared history", IdsOf(image.history)));
  for (const auto& checkpoint : image.checkpoints) {
    SSMD_RETURN_IF_ERROR(CheckTokenIds(model, "a checkpoint", IdsOf(checkpoint.history)));
  }
  return model.admission->CheckRoom(1);
}

absl::StatusOr<std::string> ServingEngine::EncodeState(const std::string& name,
                                                       const StateRef& state) {
  SSMD_ASSIGN_OR_RETURN(const size_t index, FindModel(name));
  const ModelInService& model = *models_[index];
  std::promise<absl::StatusOr<StateBytes>> fetched;
  model.tiers->Fetch(
      state, [&fetched](absl::StatusOr<StateBytes> bytes) { fetched.set_value(std::move(bytes)); });
  Snapshot snapshot;
  SSMD_ASSIGN_OR_RETURN(snapshot.state, fetched.get_future().get());
  snapshot.identity = model.identity;
  snapshot.state_position = state->position;
  snapshot.history_hash = state->history_hash();
  const EncodedSnapshot encoded = EncodeSnapshot(snapshot);
  return SnapshotPart(encoded, 0, encoded.size());
}

absl::StatusOr<StateRef> ServingEngine::AdoptState(const std::string& name,
                                                   const SharedState& shared,
                                                   uint64_t history_hash) {
  SSMD_ASSIGN_OR_RETURN(const size_t index, FindModel(name));
  const ModelInService& model = *models_[index];
  SnapshotLimits limits;
  limits.state_bytes = model.pool->bytes_per_slot();
  limits.vocabulary = model.model->info().vocabulary;
  SSMD_ASSIGN_OR_RETURN(Snapshot read, DecodeSnapshot(shared.snapshot, limits));
  SSMD_RETURN_IF_ERROR(CheckIdentity(read.identity, model.identity, /*allow_profile=*/false));
  if (read.state == nullptr || read.state_position != shared.position ||
      read.history_hash != history_hash) {
    return absl::DataLossError("the state is of other tokens than the session's");
  }
  SSMD_RETURN_IF_ERROR(CheckFinite(absl::MakeConstSpan(read.state->data(), read.state->bytes()),
                                   model.model->state_layout()));
  StateRef state = model.tiers->AdoptBytes(std::move(read.state), read.state_position);
  state->NoteHistory(history_hash);
  state->NoteRemote();
  return state;
}

absl::StatusOr<SessionHold> ServingEngine::HoldSession(const std::string& tenant,
                                                       const std::string& session_id) const {
  if (sharing_ == nullptr) return SessionHold();
  const SessionKey key{tenant, session_id};
  if (auto hold = sharing_->TryHold(key)) return *std::move(hold);
  return sharing_->Hold(key, std::nullopt);
}

void ServingEngine::WhenHere(const std::string& tenant, const std::string& session_id,
                             std::function<void(const absl::Status&)> use) {
  if (sharing_ == nullptr) {
    use(absl::OkStatus());
    return;
  }
  const SessionKey key{tenant, session_id};
  if (const auto hold = sharing_->TryHold(key); hold.has_value()) {
    use(absl::OkStatus());
    return;
  }
  sharing_->HoldThen(key, std::nullopt, [use = std::move(use)](absl::StatusOr<SessionHold> held) {
    use(held.status());
  });
}

template <typename Request>
absl::StatusOr<std::shared_ptr<OutputStream>> ServingEngine::StartOnSession(Request request,
                                                                            std::string request_id,
                                                                            Start<Request> start) {
  std::shared_ptr<OutputStream> stream = MakeStream();
  const SessionKey key{request.tenant, request.session_id};
  std::optional<SessionHold> hold;
  if (sharing_ != nullptr && !key.id.empty()) {
    hold = sharing_->TryHold(key);
    if (!hold.has_value()) {
      sharing_->HoldThen(
          key, request.deadline,
          [this, key, request, request_id, start, stream](absl::StatusOr<SessionHold> held) {
            absl::Status status = held.status();
            if (status.ok()) status = (this->*start)(request, request_id, stream);
            if (status.ok()) return;
            ReportRefused(key, request_id, status);
            stream->Finish(std::move(status));
          });
      return stream;
    }
  } else if (request.durability == Durability::kReplicated && !key.id.empty()) {
    return WithReason(absl::FailedPreconditionError(
                          "durability REPLICATED takes replicas that share their sessions, and "
                          "this server was started without a shared store"),
                      reason::kNoSharedStore);
  }
  SSMD_RETURN_IF_ERROR((this->*start)(std::move(request), std::move(request_id), stream));
  return stream;
}

template absl::StatusOr<std::shared_ptr<OutputStream>> ServingEngine::StartOnSession(
    GenerateRequest, std::string, Start<GenerateRequest>);
template absl::StatusOr<std::shared_ptr<OutputStream>> ServingEngine::StartOnSession(
    AppendRequest, std::string, Start<AppendRequest>);

// It was accepted before it was known whether its session could be had.
void ServingEngine::ReportRefused(const SessionKey& session, const std::string& request_id,
                                  const absl::Status& status) {
  if (observer_ == nullptr) return;
  const auto known = sessions_->Get(session.tenant, session.id);
  RequestRecord record;
  record.request_id = request_id;
  record.tenant = session.tenant;
  record.session_id = session.id;
  if (known.ok()) record.model = known->model;
  record.status = status;
  observer_->OnRequestEnd(record);
}

}  // namespace ssmd
