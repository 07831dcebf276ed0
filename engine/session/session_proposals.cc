// Proposals: what is checked and reserved before a change is written and applied.
#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/base/secure_random.h"
#include "engine/base/status_macros.h"
#include "engine/session/session_errors.h"
#include "engine/session/session_points.h"
#include "engine/session/session_table_impl.h"

namespace ssmd {
namespace {

absl::Status CheckLifetime(const SessionLifetime& lifetime) {
  if (lifetime.ttl_ms >= 0 && lifetime.idle_ms >= 0) return absl::OkStatus();
  return InvalidField("a session's lifetime must not be negative (0: no end)");
}

absl::Status CheckCheckpointName(const std::string& name) {
  const bool valid =
      !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
      });
  if (valid) return absl::OkStatus();
  return InvalidField("a checkpoint's name must be 1 to 64 characters of A-Z a-z 0-9 . _ -");
}

absl::Status TooManyCheckpoints(int limit) {
  return WithReason(absl::ResourceExhaustedError(absl::StrFormat(
                        "a session may have %d checkpoints: remove one first", limit)),
                    reason::kTooManyCheckpoints);
}

absl::Status ModelNotFound(const std::string& model) {
  return WithReason(absl::NotFoundError(absl::StrFormat("there is no model \"%s\"", model)),
                    reason::kModelNotFound);
}

int64_t BytesOf(const StateRef& state) {
  return state == nullptr ? 0 : static_cast<int64_t>(state->bytes);
}

int64_t BytesOf(const SessionImage& image) {
  int64_t bytes = BytesOf(image.state);
  for (const auto& checkpoint : image.checkpoints) bytes += BytesOf(checkpoint.point.state);
  return bytes;
}

bool IsStateOf(const SessionEntry& entry, const StateRef& state) {
  if (state == nullptr) return false;
  return state == entry.present.state || state == entry.anchor ||
         std::any_of(entry.turn_ends.begin(), entry.turn_ends.end(),
                     [&state](const auto& end) { return end.point.state == state; });
}

}  // namespace

// --- The proposal ---

Proposal::Proposal(Proposal&& other) noexcept { *this = std::move(other); }

Proposal& Proposal::operator=(Proposal&& other) noexcept {
  if (this != &other) {
    Abandon();
    table_ = std::exchange(other.table_, nullptr);
    changes_ = std::move(other.changes_);
    held_ = std::move(other.held_);
    tenant_ = std::move(other.tenant_);
    reserved_sessions_ = other.reserved_sessions_;
    reserved_bytes_ = other.reserved_bytes_;
    place_ = other.place_;
  }
  return *this;
}

void Proposal::Abandon() {
  if (table_ == nullptr) return;
  SessionTable::Impl& impl = *std::exchange(table_, nullptr)->impl_;
  SessionTable::Impl::Aftermath after;
  {
    MutexLock lock(&impl.mutex);
    impl.End(*this, &after);
  }
  changes_.clear();
}

// --- The inside ---

absl::StatusOr<SessionTable::Impl::Row*> SessionTable::Impl::Await(
    const std::string& tenant, const std::string& id, std::optional<uint64_t> expected_revision) {
  for (;;) {
    Row* row = Find(tenant, id);
    if (row == nullptr) return SessionNotFound(id);
    if (!row->proposed && !row->commit_waits) {
      SSMD_RETURN_IF_ERROR(CheckRevision(id, row->entry->present.revision, expected_revision));
      return row;
    }
    proposal_ended.Wait(&mutex);
  }
}

Proposal SessionTable::Impl::MakeProposal(SessionTable* table, Row* row) {
  Proposal proposal;
  proposal.table_ = table;
  if (row != nullptr) {
    row->proposed = true;
    proposal.held_.push_back(row->entry->key);
  }
  return proposal;
}

void SessionTable::Impl::ReserveFor(Proposal* proposal, const std::string& tenant, int sessions,
                                    int64_t bytes) {
  proposal->tenant_ = tenant;
  proposal->reserved_sessions_ = sessions;
  proposal->reserved_bytes_ = bytes;
  Reserve(tenant, sessions, bytes);
}

Proposal SessionTable::Impl::ProposeImage(SessionTable* table, SessionImage image) {
  Proposal proposal = MakeProposal(table, nullptr);
  ReserveFor(&proposal, image.key.tenant, 1, BytesOf(image));
  proposal.changes_.emplace_back(std::move(image));
  return proposal;
}

void SessionTable::Impl::End(const Proposal& proposal, Aftermath* after) {
  for (const SessionKey& key : proposal.held_) {
    Row* row = Find(key);
    if (row == nullptr) continue;
    row->proposed = false;
    const bool rewound = std::exchange(row->rewinding, false);
    if (row->commit_waits || (rewound && !row->queue.empty())) Notify(after);
    if (proposal.place_ != 0) Leave(row, proposal.place_, after);
  }
  Unreserve(proposal.tenant_, proposal.reserved_sessions_, proposal.reserved_bytes_);
  proposal_ended.NotifyAll();
}

// --- The table ---

absl::StatusOr<Proposal> SessionTable::ProposeCreate(const std::string& tenant,
                                                     const std::string& model,
                                                     const SessionLifetime& lifetime) {
  SSMD_RETURN_IF_ERROR(CheckLifetime(lifetime));
  const ModelOfSessions* served = impl_->FindModel(model);
  if (served == nullptr) return ModelNotFound(model);
  SessionCreated change{
      {tenant, SecureRandomId()}, model, served->fingerprint, lifetime, impl_->unix_ms()};
  MutexLock lock(&impl_->mutex);
  SSMD_RETURN_IF_ERROR(impl_->CheckSessions(tenant, 1));
  Proposal proposal = impl_->MakeProposal(this, nullptr);
  impl_->ReserveFor(&proposal, tenant, 1, 0);
  proposal.changes_.emplace_back(std::move(change));
  return proposal;
}

absl::StatusOr<Proposal> SessionTable::ProposeFork(const std::string& tenant,
                                                   const std::string& session_id,
                                                   const ForkOptions& options) {
  SSMD_RETURN_IF_ERROR(CheckLifetime(options.lifetime));
  if (options.count < 1) {
    return InvalidField(absl::StrFormat("count must be at least 1, got %d", options.count));
  }
  MutexLock lock(&impl_->mutex);
  SSMD_ASSIGN_OR_RETURN(Impl::Row * row,
                        impl_->Await(tenant, session_id, options.expected_revision));
  SSMD_ASSIGN_OR_RETURN(const SessionPoint point, FindForkPoint(*row->entry, options));
  SSMD_RETURN_IF_ERROR(impl_->CheckSessions(tenant, options.count));
  const int64_t bytes = BytesOf(point.state) * options.count;
  SSMD_RETURN_IF_ERROR(impl_->CheckBytes(tenant, bytes));
  Proposal proposal = impl_->MakeProposal(this, row);
  impl_->ReserveFor(&proposal, tenant, options.count, bytes);
  for (int i = 0; i < options.count; ++i) {
    SessionForked child;
    child.key = {tenant, SecureRandomId()};
    child.parent_id = session_id;
    child.checkpoint = options.checkpoint;
    child.position = point.position;
    child.commit.pending_tokens = point.pending_tokens;
    child.commit.text_remainder = point.text_remainder;
    child.commit.state = point.state;
    child.lifetime = options.lifetime;
    child.unix_ms = impl_->unix_ms();
    proposal.changes_.emplace_back(std::move(child));
  }
  return proposal;
}

absl::StatusOr<Proposal> SessionTable::ProposeRewind(const std::string& tenant,
                                                     const std::string& session_id,
                                                     const RewindTarget& target) {
  MutexLock lock(&impl_->mutex);
  SSMD_ASSIGN_OR_RETURN(Impl::Row * row,
                        impl_->Await(tenant, session_id, target.expected_revision));
  if (!row->queue.empty()) return SessionBusy(session_id);
  SSMD_ASSIGN_OR_RETURN(SessionPoint point, FindRewindPoint(*row->entry, target));
  const ModelOfSessions* model = impl_->FindModel(row->entry->model);
  if (target.checkpoint.empty() && model != nullptr && model->text_remainder != nullptr) {
    // Amid a turn it was never noted.
    point.text_remainder = model->text_remainder(row->entry->history, point.position);
  }
  Proposal proposal = impl_->MakeProposal(this, row);
  row->rewinding = true;
  SessionRewound change;
  change.key = row->entry->key;
  change.revision = row->entry->present.revision + 1;
  change.checkpoint = target.checkpoint;
  change.position = point.position;
  change.pending_tokens = point.pending_tokens;
  change.text_remainder = std::move(point.text_remainder);
  change.state = std::move(point.state);
  change.unix_ms = impl_->unix_ms();
  proposal.changes_.emplace_back(std::move(change));
  return proposal;
}

absl::StatusOr<Proposal> SessionTable::ProposeCheckpoint(const std::string& tenant,
                                                         const std::string& session_id,
                                                         const CheckpointOptions& options) {
  SSMD_RETURN_IF_ERROR(CheckCheckpointName(options.name));
  MutexLock lock(&impl_->mutex);
  SSMD_ASSIGN_OR_RETURN(Impl::Row * row,
                        impl_->Await(tenant, session_id, options.expected_revision));
  const SessionEntry& entry = *row->entry;
  int64_t bytes = 0;
  if (options.remove) {
    SSMD_RETURN_IF_ERROR(FindCheckpoint(entry, options.name).status());
  } else {
    const auto replaced = entry.checkpoints.find(options.name);
    if (replaced == entry.checkpoints.end() &&
        entry.checkpoints.size() >= static_cast<size_t>(impl_->limits.checkpoints)) {
      return TooManyCheckpoints(impl_->limits.checkpoints);
    }
    bytes = IsHeld(entry.present) ? BytesOf(entry.present.state) : 0;
    if (replaced != entry.checkpoints.end()) {
      bytes = std::max(bytes - BytesOf(replaced->second->point.state), int64_t{0});
    }
    SSMD_RETURN_IF_ERROR(impl_->CheckBytes(tenant, bytes));
  }
  Proposal proposal = impl_->MakeProposal(this, row);
  impl_->ReserveFor(&proposal, tenant, 0, bytes);
  proposal.changes_.emplace_back(
      SessionCheckpointed{entry.key, entry.present.revision, options.name, options.remove});
  return proposal;
}

absl::StatusOr<Proposal> SessionTable::ProposeDelete(const std::string& tenant,
                                                     const std::string& session_id,
                                                     std::optional<uint64_t> expected_revision,
                                                     bool* busy) {
  MutexLock lock(&impl_->mutex);
  SSMD_ASSIGN_OR_RETURN(Impl::Row * row, impl_->Await(tenant, session_id, expected_revision));
  if (busy != nullptr) *busy = !row->queue.empty();
  Proposal proposal = impl_->MakeProposal(this, row);
  proposal.changes_.emplace_back(SessionDeleted{row->entry->key});
  return proposal;
}

absl::StatusOr<Proposal> SessionTable::ProposeImport(const std::string& tenant,
                                                     SessionImage image) {
  SSMD_RETURN_IF_ERROR(CheckLifetime(image.lifetime));
  if (const absl::Status status = CheckImage(image); !status.ok()) {
    return InvalidField(std::string(status.message()));
  }
  const ModelOfSessions* model = impl_->FindModel(image.model);
  if (model == nullptr) return ModelNotFound(image.model);
  if (image.checkpoints.size() > static_cast<size_t>(impl_->limits.checkpoints)) {
    return TooManyCheckpoints(impl_->limits.checkpoints);
  }
  for (const auto& checkpoint : image.checkpoints) {
    SSMD_RETURN_IF_ERROR(CheckCheckpointName(checkpoint.name));
  }
  image.key = {tenant, SecureRandomId()};
  image.model_fingerprint = model->fingerprint;
  image.parent_id.clear();
  image.parent_position = 0;
  image.created_unix_ms = image.used_unix_ms = impl_->unix_ms();
  MutexLock lock(&impl_->mutex);
  SSMD_RETURN_IF_ERROR(impl_->CheckSessions(tenant, 1));
  SSMD_RETURN_IF_ERROR(impl_->CheckBytes(tenant, BytesOf(image)));
  return impl_->ProposeImage(this, std::move(image));
}

absl::StatusOr<Proposal> SessionTable::ProposeAdopt(SessionImage image) {
  SSMD_RETURN_IF_ERROR(CheckImage(image));
  if (impl_->FindModel(image.model) == nullptr) return ModelNotFound(image.model);
  MutexLock lock(&impl_->mutex);
  if (impl_->Find(image.key) != nullptr) {
    return absl::AlreadyExistsError(absl::StrFormat("session %s is here already", image.key.id));
  }
  return impl_->ProposeImage(this, std::move(image));
}

absl::StatusOr<Proposal> SessionTable::ProposeStored(const SessionKey& key,
                                                     const std::string& checkpoint,
                                                     StateRef state) {
  MutexLock lock(&impl_->mutex);
  SSMD_ASSIGN_OR_RETURN(Impl::Row * row, impl_->Await(key.tenant, key.id));
  const SessionEntry& entry = *row->entry;
  if (checkpoint.empty()) {
    if (!IsStateOf(entry, state)) return PointNotHeld("the session has let that state go");
  } else {
    SSMD_ASSIGN_OR_RETURN(const auto named, FindCheckpoint(entry, checkpoint));
    if (named->point.state != state) return PointNotHeld("the checkpoint has another state");
  }
  Proposal proposal = impl_->MakeProposal(this, row);
  proposal.changes_.emplace_back(
      StateStored{entry.key, entry.present.revision, checkpoint, std::move(state)});
  return proposal;
}

}  // namespace ssmd
