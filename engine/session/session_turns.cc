// Turns: their places in the queues of their sessions, and how they end.
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

absl::Status CheckBody(const RequestKey& known, const RequestKey& key) {
  if (known.body_hash == key.body_hash) return absl::OkStatus();
  return WithReason(
      absl::AlreadyExistsError("this session has had a request of this request_id with another "
                               "body: a new request needs an id of its own"),
      reason::kRequestIdReused);
}

SessionBase BaseOf(const SessionEntry& entry, int recent_tokens) {
  const SessionPoint& present = entry.present;
  SessionBase base;
  base.revision = present.revision;
  base.position = present.position;
  base.pending_tokens = present.pending_tokens;
  base.text_remainder = present.text_remainder;
  base.state = present.state;
  if (base.state != nullptr && base.state->lost()) {
    base.state = BestState(entry, entry.history, present.consumed());
  }
  base.unread = entry.history.Range(base.state_position(), present.position);
  const int64_t recent = std::clamp(int64_t{recent_tokens}, int64_t{0}, present.position);
  base.recent = entry.history.Range(present.position - recent, present.position);
  return base;
}

}  // namespace

// --- The inside ---

absl::StatusOr<SessionTable::Retry> SessionTable::Impl::Known(const Row& row,
                                                              const RequestKey& key) const {
  if (key.request_id.empty()) return NewRequest();
  for (const Place& place : row.queue) {
    if (place.request.request_id != key.request_id) continue;
    SSMD_RETURN_IF_ERROR(CheckBody(place.request, key));
    return RunningRequest();
  }
  const TurnResult* result = FindResult(*row.entry, key.request_id);
  if (result == nullptr) return NewRequest();
  SSMD_RETURN_IF_ERROR(CheckBody(result->key, key));
  if (IsWithoutAnswer(*result)) return AnswerNotKept(key.request_id, result->base_revision);
  return *result;
}

void SessionTable::Impl::Leave(Row* row, uint64_t place, Aftermath* after) {
  auto& queue = row->queue;
  const auto found = std::find_if(queue.begin(), queue.end(),
                                  [place](const Place& p) { return p.number == place; });
  if (found == queue.end()) return;
  const bool was_front = found == queue.begin();
  SessionEntry& entry = Open(row);
  entry.used_unix_ms = std::max(entry.used_unix_ms, unix_ms());
  queue.erase(found);
  Close(row);
  if (!was_front) return;
  row->commit_waits = false;
  proposal_ended.NotifyAll();
  if (!queue.empty()) Notify(after);
}

absl::StatusOr<SessionTable::Impl::Row*> SessionTable::Impl::RowOfCommit(
    const SessionLease& lease) {
  Row* row = Find(lease.key());
  if (row == nullptr) {
    const std::string& id = lease.key().id;
    const bool moved = std::find(moved_away.begin(), moved_away.end(), id) != moved_away.end();
    return moved ? SessionMoved(id) : SessionDeletedMeanwhile(id);
  }
  row->commit_waits = row->proposed;
  return row->proposed ? nullptr : row;
}

// --- The lease ---

SessionLease& SessionLease::operator=(SessionLease&& other) noexcept {
  if (this != &other) {
    Release();
    table_ = std::exchange(other.table_, nullptr);
    key_ = std::move(other.key_);
    place_ = other.place_;
  }
  return *this;
}

bool SessionLease::AtFront() const {
  SessionTable::Impl& impl = *table_->impl_;
  MutexLock lock(&impl.mutex);
  const auto* row = impl.Find(key_);
  return row == nullptr || (row->queue.front().number == place_ && !row->rewinding);
}

absl::StatusOr<SessionBase> SessionLease::Begin(std::optional<uint64_t> expected_revision,
                                                int recent_tokens) {
  SessionTable::Impl& impl = *table_->impl_;
  MutexLock lock(&impl.mutex);
  const auto* row = impl.Find(key_);
  if (row == nullptr) return SessionNotFound(key_.id);
  const SessionEntry& entry = *row->entry;
  SSMD_RETURN_IF_ERROR(CheckRevision(key_.id, entry.present.revision, expected_revision));
  return BaseOf(entry, recent_tokens);
}

absl::StatusOr<SessionBase> SessionTable::Base(const std::string& tenant,
                                               const std::string& session_id) const {
  MutexLock lock(&impl_->mutex);
  const auto* row = impl_->Find(tenant, session_id);
  if (row == nullptr) return SessionNotFound(session_id);
  SSMD_RETURN_IF_ERROR(impl_->ModelInService(session_id, *row).status());
  return BaseOf(*row->entry, 0);
}

absl::StatusOr<const ModelOfSessions*> SessionTable::Impl::ModelInService(
    const std::string& session_id, const Row& row) const {
  const ModelOfSessions* model = FindModel(row.entry->model);
  if (model != nullptr && model->fingerprint == row.entry->model_fingerprint) return model;
  return WithReason(absl::FailedPreconditionError(absl::StrFormat(
                        "session %s is of a model \"%s\" that is not the one served here now: "
                        "serve that model again, or delete the session",
                        session_id, row.entry->model)),
                    reason::kModelChanged);
}

void SessionLease::Release() {
  if (table_ == nullptr) return;
  SessionTable::Impl& impl = *std::exchange(table_, nullptr)->impl_;
  SessionTable::Impl::Aftermath after;
  MutexLock lock(&impl.mutex);
  auto* row = impl.Find(key_);
  if (row != nullptr) impl.Leave(row, place_, &after);
}

// --- The reservation ---

SessionReservation& SessionReservation::operator=(SessionReservation&& other) noexcept {
  if (this != &other) {
    Release();
    table_ = std::exchange(other.table_, nullptr);
    tenant_ = std::move(other.tenant_);
    count_ = std::exchange(other.count_, 0);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

void SessionReservation::Release() {
  if (table_ == nullptr) return;
  SessionTable::Impl& impl = *std::exchange(table_, nullptr)->impl_;
  MutexLock lock(&impl.mutex);
  impl.Unreserve(tenant_, std::exchange(count_, 0), std::exchange(bytes_, 0));
}

// --- The table ---

absl::StatusOr<SessionTable::Retry> SessionTable::FindRequest(const std::string& tenant,
                                                              const std::string& session_id,
                                                              const RequestKey& key) const {
  MutexLock lock(&impl_->mutex);
  const Impl::Row* row = impl_->Find(tenant, session_id);
  if (row == nullptr) return SessionNotFound(session_id);
  return impl_->Known(*row, key);
}

absl::StatusOr<SessionLease> SessionTable::Enqueue(const std::string& tenant,
                                                   const std::string& session_id, WhenBusy busy,
                                                   std::optional<uint64_t> expected_revision,
                                                   const RequestKey& key) {
  MutexLock lock(&impl_->mutex);
  Impl::Row* row = impl_->Find(tenant, session_id);
  if (row == nullptr) return SessionNotFound(session_id);
  SSMD_ASSIGN_OR_RETURN(const Retry known, impl_->Known(*row, key));
  if (!std::holds_alternative<NewRequest>(known)) {
    return WithReason(absl::AlreadyExistsError("this session has had this request"),
                      reason::kRequestKnown);
  }
  SSMD_ASSIGN_OR_RETURN(const ModelOfSessions* model, impl_->ModelInService(session_id, *row));
  if (row->queue.empty()) {
    if (!row->rewinding) {
      SSMD_RETURN_IF_ERROR(
          CheckRevision(session_id, row->entry->present.revision, expected_revision));
    }
    if (row->entry->present.state == nullptr) {
      SSMD_RETURN_IF_ERROR(impl_->CheckBytes(tenant, model->state_bytes));
    }
  } else if (busy == WhenBusy::kAbort) {
    return SessionBusy(session_id);
  } else if (row->queue.size() > static_cast<size_t>(impl_->limits.waiting_turns)) {
    return WithReason(absl::ResourceExhaustedError(
                          absl::StrFormat("%d turns of session %s wait already: try again later",
                                          row->queue.size() - 1, session_id)),
                      reason::kTooManyWaiting);
  }
  SessionLease lease;
  lease.table_ = this;
  lease.key_ = row->entry->key;
  lease.place_ = ++impl_->last_place;
  SessionEntry& entry = impl_->Open(row);
  entry.used_unix_ms = std::max(entry.used_unix_ms, impl_->unix_ms());
  row->queue.push_back({lease.place_, key});
  impl_->Close(row);
  return lease;
}

absl::StatusOr<SessionReservation> SessionTable::Reserve(const std::string& tenant,
                                                         const std::string& model, int count) {
  MutexLock lock(&impl_->mutex);
  SSMD_RETURN_IF_ERROR(impl_->CheckSessions(tenant, count));
  const ModelOfSessions* served = impl_->FindModel(model);
  const int64_t bytes = served == nullptr ? 0 : served->state_bytes * count;
  SSMD_RETURN_IF_ERROR(impl_->CheckBytes(tenant, bytes));
  impl_->Reserve(tenant, count, bytes);
  SessionReservation reservation;
  reservation.table_ = this;
  reservation.tenant_ = tenant;
  reservation.count_ = count;
  reservation.bytes_ = bytes;
  return reservation;
}

void SessionTable::SetOnAvailable(std::function<void()> on_available) {
  auto shared = on_available == nullptr
                    ? nullptr
                    : std::make_shared<const std::function<void()>>(std::move(on_available));
  MutexLock lock(&impl_->mutex);
  impl_->on_available = std::move(shared);
}

absl::StatusOr<Proposal> SessionTable::ProposeCommit(SessionLease* lease, SessionCommit* commit,
                                                     std::optional<TurnResult>* result) {
  MutexLock lock(&impl_->mutex);
  SSMD_ASSIGN_OR_RETURN(Impl::Row * row, impl_->RowOfCommit(*lease));
  if (row == nullptr) return Proposal();
  const SessionPoint& present = row->entry->present;
  SSMD_RETURN_IF_ERROR(CheckCommit(present.position, *commit));
  SessionCommitted change;
  change.key = lease->key();
  change.revision = present.revision + 1;
  change.commit = std::move(*commit);
  change.unix_ms = impl_->unix_ms();
  if (result->has_value()) {
    for (ChoiceResult& choice : (*result)->choices) {
      choice.session_id = change.key.id;
      choice.revision = change.revision;
    }
    if (!(*result)->key.request_id.empty()) change.result = *result;
  }
  Proposal proposal = impl_->MakeProposal(this, row);
  proposal.changes_.emplace_back(std::move(change));
  proposal.place_ = lease->place_;
  lease->table_ = nullptr;
  return proposal;
}

absl::StatusOr<Proposal> SessionTable::ProposeChildren(SessionLease* lease,
                                                       SessionReservation* reservation,
                                                       std::vector<SessionCommit>* commits,
                                                       std::optional<TurnResult>* result) {
  MutexLock lock(&impl_->mutex);
  SSMD_ASSIGN_OR_RETURN(Impl::Row * row, impl_->RowOfCommit(*lease));
  if (row == nullptr) return Proposal();
  const SessionEntry& entry = *row->entry;
  for (const SessionCommit& commit : *commits) {
    SSMD_RETURN_IF_ERROR(CheckCommit(entry.present.position, commit));
  }
  Proposal proposal = impl_->MakeProposal(this, row);
  for (size_t i = 0; i < commits->size(); ++i) {
    SessionForked child;
    child.key = {entry.key.tenant, SecureRandomId()};
    child.parent_id = entry.key.id;
    child.position = entry.present.position;
    child.commit = std::move((*commits)[i]);
    child.lifetime = entry.lifetime;
    child.unix_ms = impl_->unix_ms();
    if (result->has_value() && i < (*result)->choices.size()) {
      (*result)->choices[i].session_id = child.key.id;
      (*result)->choices[i].revision = kRevisionOfFork;
    }
    proposal.changes_.emplace_back(std::move(child));
  }
  if (result->has_value() && !(*result)->key.request_id.empty()) {
    proposal.changes_.emplace_back(ResultKept{entry.key, **result});
  }
  proposal.place_ = lease->place_;
  lease->table_ = nullptr;
  proposal.tenant_ = entry.key.tenant;
  proposal.reserved_sessions_ = std::exchange(reservation->count_, 0);
  proposal.reserved_bytes_ = std::exchange(reservation->bytes_, 0);
  reservation->table_ = nullptr;
  return proposal;
}

}  // namespace ssmd
