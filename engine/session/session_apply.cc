// Applying changes, while serving and in recovery, and freezing sessions for an image of them all.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <type_traits>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/session/session_errors.h"
#include "engine/session/session_table_impl.h"

namespace ssmd {
namespace {

// Whose description Apply returns.
std::optional<SessionKey> KeyOfMade(const SessionChange& change) {
  return std::visit(
      [](const auto& alternative) -> std::optional<SessionKey> {
        using T = std::decay_t<decltype(alternative)>;
        if constexpr (std::is_same_v<T, SessionDeleted> || std::is_same_v<T, ResultKept>) {
          return std::nullopt;
        } else {
          return alternative.key;
        }
      },
      change);
}

// What was proposed follows from what is there; that it does not any more is a bug of ours, after
// which the table and the log are not the same.
void CheckApplied(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "SessionTable: a proposal cannot be applied: %s\n",
               status.ToString().c_str());
  std::abort();
}

}  // namespace

// --- The inside ---

absl::Status SessionTable::Impl::ApplyOne(SessionCreated&& change, Aftermath* /*after*/) {
  if (Find(change.key) != nullptr) return absl::OkStatus();
  SSMD_ASSIGN_OR_RETURN(SessionEntry entry, CreateEntry(std::move(change)));
  Insert(std::move(entry));
  return absl::OkStatus();
}

absl::Status SessionTable::Impl::ApplyOne(SessionForked&& change, Aftermath* /*after*/) {
  if (Find(change.key) != nullptr) return absl::OkStatus();
  Row* row = Find(change.key.tenant, change.parent_id);
  if (row == nullptr) return SessionNotFound(change.parent_id);
  const int64_t now = change.unix_ms;
  SSMD_ASSIGN_OR_RETURN(SessionEntry child, ForkEntry(*row->entry, std::move(change)));
  SessionEntry& parent = Open(row);
  parent.used_unix_ms = std::max(parent.used_unix_ms, now);
  for (SessionEntry::TurnEnd& end : parent.turn_ends) {
    if (end.point.state != nullptr && end.point.state == child.present.state) end.used = ++uses;
  }
  Close(row);
  Insert(std::move(child));
  return absl::OkStatus();
}

absl::Status SessionTable::Impl::ApplyOne(SessionImage&& change, Aftermath* after) {
  if (Find(change.key) != nullptr) return absl::OkStatus();
  SSMD_ASSIGN_OR_RETURN(SessionEntry entry, EntryOfImage(std::move(change), ScopeOf(after)));
  Insert(std::move(entry));
  return absl::OkStatus();
}

absl::Status SessionTable::Impl::ApplyOne(SessionDeleted&& change, Aftermath* after) {
  Row* row = Find(change.key);
  if (row != nullptr) Erase(row, after);
  return absl::OkStatus();
}

template <typename Change>
absl::Status SessionTable::Impl::ApplyOne(Change&& change, Aftermath* after) {
  Row* row = Find(change.key);
  if (row == nullptr) return SessionNotFound(change.key.id);
  absl::Status status = ChangeEntry(&Open(row), std::forward<Change>(change), ScopeOf(after));
  Close(row);
  return status;
}

absl::Status SessionTable::Impl::Apply(std::vector<SessionChange>* changes, Aftermath* after) {
  for (SessionChange& change : *changes) {
    SSMD_RETURN_IF_ERROR(std::visit(
        [this, after](auto& alternative)
            ABSL_NO_THREAD_SAFETY_ANALYSIS { return ApplyOne(std::move(alternative), after); },
        change));
  }
  while (turn_end_bytes > limits.turn_end_bytes && DropTurnEndState(after)) {
  }
  return absl::OkStatus();
}

// --- The table ---

std::vector<SessionInfo> SessionTable::Apply(Proposal proposal) {
  std::vector<SessionKey> made;
  for (const SessionChange& change : proposal.changes_) {
    if (auto key = KeyOfMade(change)) made.push_back(*std::move(key));
  }
  std::vector<SessionInfo> infos;
  Impl::Aftermath after;
  MutexLock lock(&impl_->mutex);
  CheckApplied(impl_->Apply(&proposal.changes_, &after));
  proposal.table_ = nullptr;
  impl_->End(proposal, &after);
  for (const SessionKey& key : made) {
    const Impl::Row* row = impl_->Find(key);
    if (row != nullptr) infos.push_back(impl_->Describe(*row));
  }
  return infos;
}

absl::Status SessionTable::Replay(std::vector<SessionChange> changes) {
  Impl::Aftermath after;
  MutexLock lock(&impl_->mutex);
  return impl_->Apply(&changes, &after);
}

void SessionTable::MapStates(const MapState& map) {
  Impl::Aftermath after;
  MutexLock lock(&impl_->mutex);
  for (auto& [name, tenant] : impl_->tenants) {
    for (auto& [id, row] : tenant.rows) {
      SessionEntry& entry = impl_->Open(&row);
      const auto renew = [&](StateRef* state, const History& history) {
        if (*state == nullptr) return;
        StateRef mapped = map(entry.model, *state);
        mapped->NoteHistory(history.Hash(mapped->position));
        after.states.push_back(std::exchange(*state, std::move(mapped)));
      };
      renew(&entry.present.state, entry.history);
      renew(&entry.anchor, entry.history);
      for (auto& end : entry.turn_ends) renew(&end.point.state, entry.history);
      for (auto& [checkpoint_name, checkpoint] : entry.checkpoints) {
        auto renewed = std::make_shared<SessionEntry::Checkpoint>(*checkpoint);
        renew(&renewed->point.state, renewed->history);
        checkpoint = std::move(renewed);
      }
      impl_->Close(&row);
    }
  }
}

// --- Freezing ---

FrozenSession::FrozenSession(const SessionTable* table, std::shared_ptr<const SessionEntry> entry)
    : table_(table), entry_(std::move(entry)) {}

// A reference that the table has, too, goes under the lock, for the table goes by their count; the
// last one goes after it.
FrozenSession::~FrozenSession() {
  if (entry_ == nullptr) return;
  std::shared_ptr<const SessionEntry> last;
  SessionTable::Impl& impl = *table_->impl_;
  MutexLock lock(&impl.mutex);
  const SessionTable::Impl::Row* row = impl.Find(entry_->key);
  if (row == nullptr || row->entry != entry_) last = std::move(entry_);
  entry_ = nullptr;
}

SessionImage FrozenSession::Image() const { return ImageOfEntry(*entry_); }

const SessionKey& FrozenSession::key() const { return entry_->key; }

const std::string& FrozenSession::model() const { return entry_->model; }

std::vector<FrozenSession::NamedState> FrozenSession::States() const {
  std::vector<NamedState> states;
  if (entry_->present.state != nullptr) states.push_back({"", entry_->present.state});
  for (const auto& [name, checkpoint] : entry_->checkpoints) {
    if (checkpoint->point.state != nullptr) states.push_back({name, checkpoint->point.state});
  }
  return states;
}

std::vector<FrozenSession> SessionTable::Freeze() const {
  std::vector<FrozenSession> frozen;
  MutexLock lock(&impl_->mutex);
  for (const auto& [name, tenant] : impl_->tenants) {
    for (const auto& [id, row] : tenant.rows) frozen.push_back(FrozenSession(this, row.entry));
  }
  return frozen;
}

std::optional<FrozenSession> SessionTable::Freeze(const SessionKey& key) const {
  MutexLock lock(&impl_->mutex);
  const Impl::Row* row = impl_->Find(key);
  if (row == nullptr) return std::nullopt;
  return FrozenSession(this, row->entry);
}

}  // namespace ssmd
