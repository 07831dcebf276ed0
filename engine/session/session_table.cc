#include "engine/session/session_table.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>

#include "absl/strings/str_format.h"
#include "engine/base/clock.h"
#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "engine/session/session_errors.h"
#include "engine/session/session_points.h"
#include "engine/session/session_table_impl.h"

namespace ssmd {

// --- The inside ---

SessionTable::Impl::Impl(const SessionLimits& limits_in, std::vector<ModelOfSessions> models_in,
                         std::function<int64_t()> unix_ms_in)
    : limits(limits_in),
      models(std::move(models_in)),
      unix_ms(unix_ms_in ? std::move(unix_ms_in) : UnixMillis) {}

SessionTable::Impl::Aftermath::~Aftermath() {
  states.clear();
  entries.clear();
  if (on_available != nullptr) (*on_available)();
}

SessionTable::Impl::Row* SessionTable::Impl::Find(const std::string& tenant,
                                                  const std::string& id) {
  const auto owner = tenants.find(tenant);
  if (owner == tenants.end()) return nullptr;
  const auto row = owner->second.rows.find(id);
  return row == owner->second.rows.end() ? nullptr : &row->second;
}

const ModelOfSessions* SessionTable::Impl::FindModel(const std::string& name) const {
  const auto model = std::find_if(models.begin(), models.end(),
                                  [&name](const ModelOfSessions& m) { return m.name == name; });
  return model == models.end() ? nullptr : &*model;
}

SessionInfo SessionTable::Impl::Describe(const Row& row) const {
  SessionInfo info = DescribeEntry(*row.entry);
  info.running = !row.queue.empty();
  info.waiting_turns = std::max(static_cast<int>(row.queue.size()) - 1, 0);
  return info;
}

absl::Status SessionTable::Impl::CheckSessions(const std::string& tenant, int64_t count) {
  const auto owner = tenants.find(tenant);
  const int64_t held = owner == tenants.end() ? 0
                                              : static_cast<int64_t>(owner->second.rows.size()) +
                                                    owner->second.reserved_sessions;
  if (count <= limits.sessions_per_tenant - held) return absl::OkStatus();
  return WithReason(absl::ResourceExhaustedError(absl::StrFormat(
                        "the limit of %d sessions is reached (%d exist or are being made, %d more "
                        "asked for): delete some",
                        limits.sessions_per_tenant, held, count)),
                    reason::kTooManySessions);
}

absl::Status SessionTable::Impl::CheckBytes(const std::string& tenant, int64_t bytes) {
  const auto owner = tenants.find(tenant);
  const int64_t held =
      owner == tenants.end() ? 0 : owner->second.state_bytes + owner->second.reserved_bytes;
  const int64_t limit = limits.state_bytes_per_tenant;
  if (limit == 0 || bytes == 0 || bytes <= limit - held) return absl::OkStatus();
  return WithReason(
      absl::ResourceExhaustedError(absl::StrFormat(
          "the states of sessions and checkpoints may take %d bytes: %d are in use and %d more are "
          "needed; delete some sessions or checkpoints",
          limit, held, bytes)),
      reason::kStateQuota);
}

void SessionTable::Impl::Reserve(const std::string& tenant, int64_t sessions, int64_t bytes) {
  if (sessions == 0 && bytes == 0) return;
  Tenant& owner = tenants[tenant];
  owner.reserved_sessions += sessions;
  owner.reserved_bytes += bytes;
}

void SessionTable::Impl::Unreserve(const std::string& tenant, int64_t sessions, int64_t bytes) {
  if (sessions == 0 && bytes == 0) return;
  Tenant& owner = tenants[tenant];
  owner.reserved_sessions -= sessions;
  owner.reserved_bytes -= bytes;
  DropIfEmpty(tenant);
}

void SessionTable::Impl::DropIfEmpty(const std::string& tenant) {
  const auto owner = tenants.find(tenant);
  if (owner != tenants.end() && owner->second.rows.empty() &&
      owner->second.reserved_sessions == 0 && owner->second.reserved_bytes == 0) {
    tenants.erase(owner);
  }
}

void SessionTable::Impl::Subtract(Row* row) {
  row->tenant->state_bytes -= row->footprint.state_bytes;
  model_counts[row->entry->model].states -= row->footprint.states;
  turn_end_bytes -= row->footprint.turn_end_bytes;
  row->footprint = {};
  for (const auto& end : row->entry->turn_ends) {
    if (end.point.state != nullptr) turn_end_states.erase(end.used);
  }
}

SessionEntry& SessionTable::Impl::Open(Row* row) {
  Subtract(row);
  // Others take and let go of references to it under the lock, so the count is exact.
  if (row->entry.use_count() > 1) row->entry = std::make_shared<SessionEntry>(*row->entry);
  return *row->entry;
}

void SessionTable::Impl::Close(Row* row) {
  const SessionEntry& entry = *row->entry;
  Footprint& footprint = row->footprint;
  const auto hold = [&footprint](const StateRef& state) {
    if (state == nullptr) return;
    ++footprint.states;
    footprint.state_bytes += static_cast<int64_t>(state->bytes);
  };
  hold(entry.present.state);
  if (const StateRef& state = entry.present.state; state != nullptr && state->history_hash() == 0) {
    state->NoteHistory(entry.history.Hash(state->position));
  }
  for (const auto& [name, checkpoint] : entry.checkpoints) hold(checkpoint->point.state);
  if (entry.present.state == nullptr && !row->queue.empty()) {
    const ModelOfSessions* model = FindModel(entry.model);
    if (model != nullptr) footprint.state_bytes += model->state_bytes;
  }
  for (const auto& end : entry.turn_ends) {
    if (end.point.state == nullptr) continue;
    footprint.turn_end_bytes += static_cast<int64_t>(end.point.state->bytes);
    turn_end_states[end.used] = row;
  }
  row->tenant->state_bytes += footprint.state_bytes;
  model_counts[entry.model].states += footprint.states;
  turn_end_bytes += footprint.turn_end_bytes;
}

void SessionTable::Impl::Insert(SessionEntry entry) {
  Tenant& tenant = tenants[entry.key.tenant];
  Row& row = tenant.rows[entry.key.id];
  row.tenant = &tenant;
  row.entry = std::make_shared<SessionEntry>(std::move(entry));
  ++model_counts[row.entry->model].sessions;
  Close(&row);
}

void SessionTable::Impl::Erase(Row* row, Aftermath* after) {
  Subtract(row);
  const SessionKey key = row->entry->key;
  const auto count = model_counts.find(row->entry->model);
  if (--count->second.sessions == 0) model_counts.erase(count);
  if (!row->queue.empty()) Notify(after);
  after->entries.push_back(std::move(row->entry));
  row->tenant->rows.erase(key.id);
  DropIfEmpty(key.tenant);
}

bool SessionTable::Impl::DropTurnEndState(Aftermath* after) {
  if (turn_end_states.empty()) return false;
  const auto [used, row] = *turn_end_states.begin();
  for (auto& end : Open(row).turn_ends) {
    if (end.used == used) after->states.push_back(std::exchange(end.point.state, nullptr));
  }
  Close(row);
  return true;
}

// --- The table ---

SessionTable::SessionTable(const SessionLimits& limits, std::vector<ModelOfSessions> models,
                           std::function<int64_t()> unix_ms)
    : impl_(std::make_unique<Impl>(limits, std::move(models), std::move(unix_ms))) {}

SessionTable::~SessionTable() = default;

const SessionLimits& SessionTable::limits() const { return impl_->limits; }

absl::StatusOr<SessionInfo> SessionTable::Get(const std::string& tenant,
                                              const std::string& session_id) const {
  MutexLock lock(&impl_->mutex);
  const Impl::Row* row = impl_->Find(tenant, session_id);
  if (row == nullptr) return SessionNotFound(session_id);
  return impl_->Describe(*row);
}

absl::StatusOr<SessionPage> SessionTable::List(const std::string& tenant,
                                               const SessionFilter& filter, int page_size,
                                               const std::string& page_token) const {
  if (!page_token.empty() && !IsSessionId(page_token)) {
    return InvalidField("page_token is not one that a list of sessions returned");
  }
  MutexLock lock(&impl_->mutex);
  SessionPage page;
  const auto owner = impl_->tenants.find(tenant);
  if (owner == impl_->tenants.end()) return page;
  const auto& rows = owner->second.rows;
  for (auto row = rows.upper_bound(page_token); row != rows.end(); ++row) {
    const SessionEntry& entry = *row->second.entry;
    if (!filter.model.empty() && entry.model != filter.model) continue;
    if (!filter.parent_id.empty() && entry.parent_id != filter.parent_id) continue;
    if (page.sessions.size() == static_cast<size_t>(page_size)) {
      page.next_page_token = page.sessions.back().session_id;
      break;
    }
    page.sessions.push_back(impl_->Describe(row->second));
  }
  return page;
}

int64_t SessionTable::CountOf(const std::string& model) const {
  MutexLock lock(&impl_->mutex);
  const auto count = impl_->model_counts.find(model);
  return count == impl_->model_counts.end() ? 0 : count->second.sessions;
}

int64_t SessionTable::StatesOf(const std::string& model) const {
  MutexLock lock(&impl_->mutex);
  const auto count = impl_->model_counts.find(model);
  return count == impl_->model_counts.end() ? 0 : count->second.states;
}

std::vector<std::pair<StateTier, int64_t>> SessionTable::TiersOf(const std::string& model) const {
  std::vector<std::pair<StateTier, int64_t>> tiers = {
      {StateTier::kDevice, 0}, {StateTier::kHost, 0}, {StateTier::kDisk, 0}, {StateTier::kLost, 0}};
  MutexLock lock(&impl_->mutex);
  for (const auto& [name, tenant] : impl_->tenants) {
    for (const auto& [id, row] : tenant.rows) {
      if (row.entry->model != model || row.entry->present.consumed() == 0) continue;
      const StateRef& state = row.entry->present.state;
      ++tiers[static_cast<size_t>(state == nullptr ? StateTier::kLost : state->tier())].second;
    }
  }
  return tiers;
}

absl::StatusOr<SessionImage> SessionTable::Image(const std::string& tenant,
                                                 const std::string& session_id,
                                                 const std::string& checkpoint) const {
  std::shared_ptr<const SessionEntry> entry;
  {
    MutexLock lock(&impl_->mutex);
    const Impl::Row* row = impl_->Find(tenant, session_id);
    if (row == nullptr) return SessionNotFound(session_id);
    if (!checkpoint.empty()) SSMD_RETURN_IF_ERROR(FindCheckpoint(*row->entry, checkpoint).status());
    entry = row->entry;
  }
  const FrozenSession frozen(this, std::move(entry));
  return ImageOfPoint(*frozen.entry_, checkpoint);
}

// --- Upkeep ---

std::vector<SessionKey> SessionTable::Expired() const {
  const int64_t now = impl_->unix_ms();
  std::vector<SessionKey> expired;
  MutexLock lock(&impl_->mutex);
  for (const auto& [name, tenant] : impl_->tenants) {
    for (const auto& [id, row] : tenant.rows) {
      const int64_t expires = ExpiresUnixMs(*row.entry);
      if (expires != 0 && expires <= now && row.queue.empty()) expired.push_back(row.entry->key);
    }
  }
  return expired;
}

void SessionTable::NoteMoved(const std::string& session_id) {
  constexpr size_t kKnown = 256;  // a turn that has ended by then has heard of it otherwise
  MutexLock lock(&impl_->mutex);
  impl_->moved_away.push_back(session_id);
  if (impl_->moved_away.size() > kKnown) impl_->moved_away.pop_front();
}

bool SessionTable::DropTurnEndState() {
  Impl::Aftermath after;
  MutexLock lock(&impl_->mutex);
  return impl_->DropTurnEndState(&after);
}

std::vector<SessionTable::Unstored> SessionTable::FindUnstored(size_t count) const {
  struct Candidate {
    const SessionEntry* entry;
    const std::string* checkpoint;  // null: the session's own state
    const History* history;
    const StateRef* state;
    int64_t replay_tokens;
  };
  const int64_t now = impl_->unix_ms();
  std::vector<Candidate> candidates;
  MutexLock lock(&impl_->mutex);
  for (const auto& [name, tenant] : impl_->tenants) {
    for (const auto& [id, row] : tenant.rows) {
      const SessionEntry& entry = *row.entry;
      const StateRef& own = entry.present.state;
      if (own != nullptr && own != entry.anchor) {
        const int64_t stored = entry.anchor == nullptr ? 0 : entry.anchor->position;
        candidates.push_back({&entry, nullptr, &entry.history, &own, own->position - stored});
      }
      for (const auto& [checkpoint_name, checkpoint] : entry.checkpoints) {
        const StateRef& state = checkpoint->point.state;
        if (state == nullptr || state == own || checkpoint->recorded) continue;
        candidates.push_back(
            {&entry, &checkpoint_name, &checkpoint->history, &state, state->position});
      }
    }
  }
  count = std::min(count, candidates.size());
  std::partial_sort(
      candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(count), candidates.end(),
      [](const Candidate& a, const Candidate& b) { return a.replay_tokens > b.replay_tokens; });
  std::vector<Unstored> unstored;
  for (size_t i = 0; i < count; ++i) {
    const Candidate& found = candidates[i];
    unstored.push_back({found.entry->key, found.entry->model,
                        found.checkpoint == nullptr ? std::string() : *found.checkpoint,
                        found.history->Hash((*found.state)->position), *found.state,
                        found.replay_tokens,
                        std::max(now - found.entry->used_unix_ms, int64_t{0})});
  }
  return unstored;
}

}  // namespace ssmd
