// ServingEngine: sessions between their turns.
#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/base/fault_point.h"
#include "engine/base/model_name.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/formats/quoted.h"
#include "engine/models/memory_model.h"
#include "engine/schedule/prepare.h"
#include "engine/serving_engine.h"

namespace ssmd {
namespace {

FaultPoint export_memory("memory.export", FaultPoint::Kind::kAllocation);

constexpr int kPageSizeMax = 1000;
constexpr int kForksMax = 1000;
// What a snapshot has beside state and history: identities, names, section table.
constexpr int64_t kSnapshotFrontMax = int64_t{1} << 20;

// Of a memory's described layout, how many channels its frames have; empty: of a language model.
std::string_view ChannelsOf(std::string_view layout) {
  const std::string field = absl::StrCat("layer 0 ", kMemoryCoefficients, " memory ");
  if (!layout.starts_with(field)) return {};
  layout.remove_prefix(std::min(layout.size(), layout.find(' ', field.size())));
  return layout.substr(0, layout.find('x'));
}

// What a history's numbers are is told by what it was of: tokens, or samples of so many channels.
absl::Status CheckSameHistories(std::string_view theirs, std::string_view ours) {
  const std::string_view channels = ChannelsOf(theirs), our_channels = ChannelsOf(ours);
  if (channels == our_channels) return absl::OkStatus();
  const auto of = [](std::string_view count) {
    if (count.empty()) return std::string("a language model");
    return absl::StrCat("a memory of", absl::CHexEscape(View(count.substr(0, 16))), " channels");
  };
  return absl::FailedPreconditionError(absl::StrCat("the snapshot is of ", of(channels),
                                                    ", and the model is ", of(our_channels),
                                                    ": its history means nothing there; import it "
                                                    "into one of its kind"));
}

absl::StatusOr<EncodedSnapshot> EncodeExport(const Snapshot& snapshot) {
  return UnlessOutOfMemory(
      export_memory, "export the session",
      [&]() -> absl::StatusOr<EncodedSnapshot> { return EncodeSnapshot(snapshot); });
}

// The session of a prompt that is read before its creator hears of it.
class CreationReader : public std::enable_shared_from_this<CreationReader> {
 public:
  using Ended = std::function<void(const absl::Status&)>;
  CreationReader(std::shared_ptr<OutputStream> stream, Ended ended)
      : stream_(std::move(stream)), ended_(std::move(ended)) {}

  void Read() {
    while (stream_->Pop().has_value()) {
    }
    if (const auto status = stream_->status(); status.has_value()) {
      ended_(*status);
      return;
    }
    stream_->NotifyWhenReady([self = shared_from_this()] { self->Read(); });
  }

 private:
  const std::shared_ptr<OutputStream> stream_;
  const Ended ended_;
};

}  // namespace

absl::StatusOr<std::vector<SessionInfo>> ServingEngine::Write(absl::StatusOr<Proposal> proposal) {
  if (!proposal.ok()) return proposal.status();
  return log_->WriteAndWait(*std::move(proposal), durability_);
}

absl::StatusOr<SessionInfo> ServingEngine::WriteOne(absl::StatusOr<Proposal> proposal) {
  SSMD_ASSIGN_OR_RETURN(std::vector<SessionInfo> sessions, Write(std::move(proposal)));
  return std::move(sessions.front());
}

// What is made while the others are given up would stay behind.
absl::Status ServingEngine::CheckMayMakeSessions(const ModelInService& model) const {
  return sharing_ == nullptr ? absl::OkStatus() : model.admission->CheckOpen();
}

std::function<void()> ServingEngine::CreateSession(
    CreateSessionRequest request, std::string request_id,
    std::function<void(absl::StatusOr<SessionInfo>)> done) {
  const auto nothing_to_cancel = [] {};
  auto model = FindModel(request.model);
  if (!model.ok()) {
    done(model.status());
    return nothing_to_cancel;
  }
  if (request.prompt.has_value()) {
    if (const absl::Status status = CheckIsLanguageModel(*models_[*model]); !status.ok()) {
      done(status);
      return nothing_to_cancel;
    }
  }
  if (const absl::Status status = CheckMayMakeSessions(*models_[*model]); !status.ok()) {
    done(status);
    return nothing_to_cancel;
  }
  auto created =
      WriteOne(sessions_->ProposeCreate(request.tenant, models_[*model]->name, request.lifetime));
  if (!created.ok() || !request.prompt.has_value()) {
    done(std::move(created));
    return nothing_to_cancel;
  }
  GenerateRequest reading;
  reading.tenant = request.tenant;
  reading.session_id = created->session_id;
  reading.prompt = *std::move(request.prompt);
  // A history that ends with an answer ends as if that had been sampled: turns go on behind it.
  if (auto* chat = std::get_if<ChatPrompt>(&reading.prompt);
      chat != nullptr && !chat->messages.empty() && chat->messages.back().role == "assistant") {
    chat->continue_final_message = true;
  }
  reading.parse_special = request.parse_special;
  reading.max_tokens = 0;
  reading.deadline = request.deadline;
  const SessionKey key{request.tenant, created->session_id};
  auto stream = Generate(std::move(reading), std::move(request_id));
  if (!stream.ok()) {
    DeleteSession(key.tenant, key.id, std::nullopt).IgnoreError();
    done(stream.status());
    return nothing_to_cancel;
  }
  std::make_shared<CreationReader>(*stream, [this, key,
                                             done = std::move(done)](const absl::Status& status) {
    if (status.ok()) {
      done(sessions_->Get(key.tenant, key.id));
      return;
    }
    // On the step thread, which must not wait for the log: nobody has heard of the session.
    bool busy = false;
    if (auto gone = sessions_->ProposeDelete(key.tenant, key.id, std::nullopt, &busy); gone.ok()) {
      log_->Write(*std::move(gone), Durability::kProcess, [](const auto&) {});
    }
    done(status);
  })->Read();
  return [stream = *stream] { stream->Cancel(); };
}

absl::StatusOr<SessionInfo> ServingEngine::GetSession(const std::string& tenant,
                                                      const std::string& session_id) const {
  SSMD_ASSIGN_OR_RETURN(const SessionHold hold, HoldSession(tenant, session_id));
  return sessions_->Get(tenant, session_id);
}

absl::StatusOr<SessionPage> ServingEngine::ListSessions(const std::string& tenant,
                                                        const SessionFilter& filter, int page_size,
                                                        const std::string& page_token) const {
  if (page_size < 1 || page_size > kPageSizeMax) {
    return InvalidField(
        absl::StrFormat("page_size must be in [1, %d], got %d", kPageSizeMax, page_size));
  }
  if (!filter.model.empty()) SSMD_RETURN_IF_ERROR(FindModel(filter.model).status());
  return sharing_ == nullptr ? sessions_->List(tenant, filter, page_size, page_token)
                             : sharing_->List(tenant, filter, page_size, page_token);
}

absl::StatusOr<std::vector<SessionInfo>> ServingEngine::ForkSession(const std::string& tenant,
                                                                    const std::string& session_id,
                                                                    const ForkOptions& options) {
  if (options.count < 1 || options.count > kForksMax) {
    return InvalidField(
        absl::StrFormat("count must be in [1, %d], got %d", kForksMax, options.count));
  }
  SSMD_ASSIGN_OR_RETURN(const SessionHold hold, HoldSession(tenant, session_id));
  SSMD_ASSIGN_OR_RETURN(const size_t model, ModelOfSession(tenant, session_id, ""));
  SSMD_RETURN_IF_ERROR(models_[model]->admission->CheckRoom(options.count));
  return Write(sessions_->ProposeFork(tenant, session_id, options));
}

absl::StatusOr<SessionInfo> ServingEngine::RewindSession(const std::string& tenant,
                                                         const std::string& session_id,
                                                         const RewindTarget& target) {
  SSMD_ASSIGN_OR_RETURN(const SessionHold hold, HoldSession(tenant, session_id));
  SSMD_ASSIGN_OR_RETURN(const size_t index, ModelOfSession(tenant, session_id, ""));
  if (target.position.has_value() && models_[index]->memory != nullptr) {
    SSMD_RETURN_IF_ERROR(CheckWholeFrames(*models_[index], *target.position));
  }
  return WriteOne(sessions_->ProposeRewind(tenant, session_id, target));
}

absl::StatusOr<SessionInfo> ServingEngine::CheckpointSession(const std::string& tenant,
                                                             const std::string& session_id,
                                                             const CheckpointOptions& options) {
  SSMD_ASSIGN_OR_RETURN(const SessionHold hold, HoldSession(tenant, session_id));
  SSMD_ASSIGN_OR_RETURN(const size_t model, ModelOfSession(tenant, session_id, ""));
  if (!options.remove) SSMD_RETURN_IF_ERROR(models_[model]->admission->CheckRoom(1));
  return WriteOne(sessions_->ProposeCheckpoint(tenant, session_id, options));
}

absl::Status ServingEngine::DeleteSession(const std::string& tenant, const std::string& session_id,
                                          std::optional<uint64_t> expected_revision) {
  const absl::StatusOr<SessionHold> hold = HoldSession(tenant, session_id);
  if (absl::IsDataLoss(hold.status()) && !expected_revision.has_value()) {
    return sharing_->DeleteDamaged({tenant, session_id});
  }
  SSMD_RETURN_IF_ERROR(hold.status());
  SSMD_ASSIGN_OR_RETURN(const SessionInfo session, sessions_->Get(tenant, session_id));
  bool busy = false;
  auto proposal = sessions_->ProposeDelete(tenant, session_id, expected_revision, &busy);
  SSMD_RETURN_IF_ERROR(Write(std::move(proposal)).status());
  const auto model = FindModel(session.model);
  if (!busy || !model.ok()) return absl::OkStatus();
  loop_->Post([this, model = *model, key = SessionKey{tenant, session_id}] {
    runners_[model]->DropSession(
        key,
        WithReason(absl::CancelledError("the session was deleted while its turn was in progress"),
                   reason::kSessionNotFound));
  });
  return absl::OkStatus();
}

void ServingEngine::ExportSession(const std::string& tenant, const std::string& session_id,
                                  const std::string& checkpoint,
                                  std::function<void(absl::StatusOr<EncodedSnapshot>)> done) {
  WhenHere(tenant, session_id, [=, this](const absl::Status& here) {
    if (here.ok()) {
      ExportHere(tenant, session_id, checkpoint, done);
    } else {
      done(here);
    }
  });
}

void ServingEngine::ExportHere(const std::string& tenant, const std::string& session_id,
                               const std::string& checkpoint,
                               std::function<void(absl::StatusOr<EncodedSnapshot>)> done) {
  const auto model = ModelOfSession(tenant, session_id, "");
  auto image = sessions_->Image(tenant, session_id, checkpoint);
  if (!image.ok() || !model.ok()) {
    done(image.ok() ? model.status() : image.status());
    return;
  }
  Snapshot snapshot;
  snapshot.identity = models_[*model]->identity;
  SnapshotSession& session = snapshot.session.emplace();
  session.model = image->model;
  session.revision = image->revision;
  session.history = std::move(image->history);
  session.pending_tokens = image->pending_tokens;
  session.text_remainder = std::move(image->text_remainder);
  if (image->state == nullptr) {
    done(EncodeExport(snapshot));
    return;
  }
  snapshot.state_position = image->state->position;
  History history;
  history.Append(session.history);
  snapshot.history_hash = history.Hash(snapshot.state_position);
  models_[*model]->tiers->Fetch(
      image->state, [this, snapshot = std::move(snapshot),
                     done = std::move(done)](absl::StatusOr<StateBytes> bytes) mutable {
        if (!bytes.ok()) {
          done(bytes.status());
          return;
        }
        snapshot.state = *std::move(bytes);
        encoder_->Post([snapshot = std::move(snapshot), done = std::move(done)](bool cancelled) {
          if (cancelled) {
            done(absl::UnavailableError("the server is shutting down"));
          } else {
            done(EncodeExport(snapshot));
          }
        });
      });
}

absl::StatusOr<int64_t> ServingEngine::SnapshotBytesMax(const std::string& name) const {
  size_t state_bytes = 0;
  if (name.empty()) {
    for (const auto& model : models_) {
      state_bytes = std::max(state_bytes, model->pool->bytes_per_slot());
    }
  } else {
    SSMD_ASSIGN_OR_RETURN(const size_t model, FindModel(name));
    state_bytes = models_[model]->pool->bytes_per_slot();
  }
  return static_cast<int64_t>(state_bytes) +
         limits_.max_history_tokens * static_cast<int64_t>(sizeof(LoggedToken)) + kSnapshotFrontMax;
}

absl::StatusOr<size_t> ServingEngine::ModelOfSnapshot(const std::string& asked,
                                                      absl::Span<const char> snapshot) const {
  if (!asked.empty() || models_.size() == 1) return FindModel(asked);
  SSMD_ASSIGN_OR_RETURN(const std::string name, ModelNameOfSnapshot(snapshot));
  for (size_t i = 0; i < models_.size(); ++i) {
    if (models_[i]->name == name) return i;
  }
  return WithReason(absl::NotFoundError(absl::StrFormat(
                        "the snapshot is of a model %s, which is not served: name the one that is "
                        "to go on with it, of %s",
                        Quoted(name), ListModelNames(ModelNames()))),
                    reason::kModelNotFound);
}

absl::StatusOr<SessionInfo> ServingEngine::ImportSession(const std::string& tenant,
                                                         const ImportOptions& options,
                                                         absl::Span<const char> snapshot) {
  SSMD_ASSIGN_OR_RETURN(const size_t index, ModelOfSnapshot(options.model, snapshot));
  const ModelInService& model = *models_[index];
  SSMD_RETURN_IF_ERROR(CheckMayMakeSessions(model));
  SnapshotLimits limits;
  limits.state_bytes = model.pool->bytes_per_slot();
  limits.history_tokens = limits_.max_history_tokens;
  limits.vocabulary = model.model->info().vocabulary;
  limits.without_state = options.rebuild;
  SSMD_ASSIGN_OR_RETURN(Snapshot read, DecodeSnapshot(snapshot, limits));
  if (!read.session.has_value()) return NoSessionInSnapshot();
  SSMD_RETURN_IF_ERROR(CheckSameHistories(read.identity.layout, model.identity.layout));
  // The history alone says what the state is, to whatever model reads it.
  const bool keeps_state = read.state != nullptr;
  if (keeps_state) {
    SSMD_RETURN_IF_ERROR(CheckIdentity(read.identity, model.identity, options.allow_inexact));
    SSMD_RETURN_IF_ERROR(CheckFinite(absl::MakeConstSpan(read.state->data(), read.state->bytes()),
                                     model.model->state_layout()));
  }
  SSMD_RETURN_IF_ERROR(model.admission->CheckRoom(1));
  SessionImage image;
  image.model = model.name;
  image.model_fingerprint = model.identity.fingerprint;
  image.revision = read.session->revision;
  image.history = std::move(read.session->history);
  image.pending_tokens = read.session->pending_tokens;
  image.text_remainder = std::move(read.session->text_remainder);
  image.lifetime = options.lifetime;
  if (keeps_state)
    image.state = model.tiers->AdoptBytes(std::move(read.state), read.state_position);
  return WriteOne(sessions_->ProposeImport(tenant, std::move(image)));
}

}  // namespace ssmd
