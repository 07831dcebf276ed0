#include "engine/state/session_table.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/base/secure_random.h"
#include "engine/base/status_macros.h"

namespace ssmd {
namespace {

constexpr size_t kLastTokens = 16;
constexpr size_t kIdLength = 32;

int64_t UnixMillis() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

bool IsSessionId(const std::string& text) {
  return text.size() == kIdLength && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// The id is repeated only when it is one: an arbitrary string has no place in messages and logs.
absl::Status NotFound(const std::string& session_id) {
  return WithReason(
      absl::NotFoundError(IsSessionId(session_id)
                              ? absl::StrFormat("there is no session %s", session_id)
                              : "there is no such session: ids are 32 hexadecimal digits"),
      reason::kSessionNotFound);
}

absl::Status CheckRevision(const std::string& session_id, uint64_t revision,
                           std::optional<uint64_t> expected) {
  if (!expected.has_value() || *expected == revision) return absl::OkStatus();
  return WithReason(
      absl::AbortedError(absl::StrFormat("session %s is at revision %d, not at the expected %d",
                                         session_id, revision, *expected)),
      reason::kRevisionMismatch);
}

absl::Status DeletedMeanwhile(const std::string& session_id) {
  return WithReason(absl::CancelledError(absl::StrFormat(
                        "session %s was deleted while its turn was in progress", session_id)),
                    reason::kSessionNotFound);
}

std::vector<int32_t> TokenIds(const TokenLog& log, size_t count) {
  std::vector<int32_t> ids;
  ids.reserve(count);
  for (size_t i = log.size() - count; i < log.size(); ++i) ids.push_back(log[i].token_id());
  return ids;
}

}  // namespace

SessionLease& SessionLease::operator=(SessionLease&& other) noexcept {
  if (this != &other) {
    Release();
    table_ = std::exchange(other.table_, nullptr);
    session_ = std::exchange(other.session_, nullptr);
    base_ = std::move(other.base_);
  }
  return *this;
}

void SessionLease::Release() {
  if (session_ == nullptr) return;
  table_->EndTurn(*session_);
  session_ = nullptr;
}

SessionReservation& SessionReservation::operator=(SessionReservation&& other) noexcept {
  if (this != &other) {
    Release();
    table_ = std::exchange(other.table_, nullptr);
    tenant_ = std::move(other.tenant_);
    count_ = std::exchange(other.count_, 0);
  }
  return *this;
}

void SessionReservation::Release() {
  if (count_ > 0) table_->Unreserve(tenant_, count_);
  count_ = 0;
}

SessionInfo SessionTable::Describe(const Entry& entry) {
  SessionInfo info;
  info.session_id = entry.session->id;
  info.model = entry.session->model;
  info.revision = entry.revision;
  info.position = static_cast<int64_t>(entry.history.size());
  info.pending_tokens = entry.pending_tokens;
  info.last_token_ids = TokenIds(entry.history, std::min(kLastTokens, entry.history.size()));
  info.running = entry.running;
  info.resident = entry.resident;
  info.created_unix_ms = entry.created_unix_ms;
  info.used_unix_ms = entry.used_unix_ms;
  return info;
}

const SessionTable::Entry* SessionTable::Find(const std::string& tenant,
                                              const std::string& session_id) const {
  const auto owner = tenants_.find(tenant);
  if (owner == tenants_.end()) return nullptr;
  const auto entry = owner->second.sessions.find(session_id);
  return entry == owner->second.sessions.end() ? nullptr : &entry->second;
}

SessionTable::Entry* SessionTable::Find(const std::string& tenant, const std::string& session_id) {
  const auto owner = tenants_.find(tenant);
  if (owner == tenants_.end()) return nullptr;
  const auto entry = owner->second.sessions.find(session_id);
  return entry == owner->second.sessions.end() ? nullptr : &entry->second;
}

SessionTable::Entry* SessionTable::Insert(const std::string& tenant, const std::string& model) {
  Entry entry;
  entry.session = std::make_shared<Session>(SecureRandomId(), tenant, model);
  entry.created_unix_ms = entry.used_unix_ms = UnixMillis();
  ++count_by_model_[model];
  const std::string id = entry.session->id;
  return &tenants_[tenant].sessions.emplace(id, std::move(entry)).first->second;
}

absl::Status SessionTable::CheckRoom(const std::string& tenant, int count) const {
  const auto owner = tenants_.find(tenant);
  const int64_t held =
      owner == tenants_.end()
          ? 0
          : static_cast<int64_t>(owner->second.sessions.size()) + owner->second.reserved;
  if (held + count <= max_sessions_) return absl::OkStatus();
  return WithReason(absl::ResourceExhaustedError(absl::StrFormat(
                        "the limit of %d sessions is reached (%d exist or are being made, %d more "
                        "asked for): delete some",
                        max_sessions_, held, count)),
                    reason::kTooManySessions);
}

void SessionTable::DropIfEmpty(const std::string& tenant) {
  const auto owner = tenants_.find(tenant);
  if (owner != tenants_.end() && owner->second.sessions.empty() && owner->second.reserved == 0) {
    tenants_.erase(owner);
  }
}

absl::StatusOr<SessionInfo> SessionTable::Create(const std::string& tenant,
                                                 const std::string& model) {
  MutexLock lock(&mutex_);
  SSMD_RETURN_IF_ERROR(CheckRoom(tenant, 1));
  return Describe(*Insert(tenant, model));
}

absl::StatusOr<SessionInfo> SessionTable::Get(const std::string& tenant,
                                              const std::string& session_id) const {
  MutexLock lock(&mutex_);
  const Entry* entry = Find(tenant, session_id);
  if (entry == nullptr) return NotFound(session_id);
  return Describe(*entry);
}

absl::StatusOr<SessionPage> SessionTable::List(const std::string& tenant, const std::string& model,
                                               int page_size, const std::string& page_token) const {
  if (!page_token.empty() && !IsSessionId(page_token)) {
    return WithReason(
        absl::InvalidArgumentError("page_token is not one that a list of sessions returned"),
        reason::kInvalidField);
  }
  MutexLock lock(&mutex_);
  SessionPage page;
  const auto owner = tenants_.find(tenant);
  if (owner == tenants_.end()) return page;
  const auto& sessions = owner->second.sessions;
  for (auto it = sessions.upper_bound(page_token); it != sessions.end(); ++it) {
    if (!model.empty() && it->second.session->model != model) continue;
    if (page.sessions.size() == static_cast<size_t>(page_size)) {
      page.next_page_token = page.sessions.back().session_id;
      break;
    }
    page.sessions.push_back(Describe(it->second));
  }
  return page;
}

absl::StatusOr<DeletedSession> SessionTable::Delete(const std::string& tenant,
                                                    const std::string& session_id,
                                                    std::optional<uint64_t> expected_revision) {
  MutexLock lock(&mutex_);
  Entry* entry = Find(tenant, session_id);
  if (entry == nullptr) return NotFound(session_id);
  SSMD_RETURN_IF_ERROR(CheckRevision(session_id, entry->revision, expected_revision));
  DeletedSession deleted{std::move(entry->session), entry->resident, entry->running};
  --count_by_model_[deleted.session->model];
  tenants_[tenant].sessions.erase(deleted.session->id);
  DropIfEmpty(deleted.session->tenant);
  return deleted;
}

int64_t SessionTable::CountOf(const std::string& model) const {
  MutexLock lock(&mutex_);
  const auto count = count_by_model_.find(model);
  return count == count_by_model_.end() ? 0 : count->second;
}

absl::StatusOr<SessionLease> SessionTable::BeginTurn(const std::string& tenant,
                                                     const std::string& session_id,
                                                     std::optional<uint64_t> expected_revision,
                                                     int recent_tokens) {
  MutexLock lock(&mutex_);
  Entry* entry = Find(tenant, session_id);
  if (entry == nullptr) return NotFound(session_id);
  SSMD_RETURN_IF_ERROR(CheckRevision(session_id, entry->revision, expected_revision));
  if (entry->running) {
    return WithReason(
        absl::AbortedError(absl::StrFormat(
            "session %s has a turn in progress: wait for its end, or cancel it", session_id)),
        reason::kSessionBusy);
  }
  entry->running = true;
  SessionLease lease;
  lease.table_ = this;
  lease.session_ = entry->session;
  SessionBase& base = lease.base_;
  base.revision = entry->revision;
  base.position = static_cast<int64_t>(entry->history.size());
  base.pending = TokenIds(entry->history, static_cast<size_t>(entry->pending_tokens));
  const auto recent = std::min(static_cast<size_t>(recent_tokens), entry->history.size());
  base.recent.assign(entry->history.end() - static_cast<std::ptrdiff_t>(recent),
                     entry->history.end());
  base.text_remainder = entry->text_remainder;
  base.resident = entry->resident;
  return lease;
}

absl::StatusOr<SessionReservation> SessionTable::Reserve(const std::string& tenant, int count) {
  MutexLock lock(&mutex_);
  SSMD_RETURN_IF_ERROR(CheckRoom(tenant, count));
  tenants_[tenant].reserved += count;
  SessionReservation reservation;
  reservation.table_ = this;
  reservation.tenant_ = tenant;
  reservation.count_ = count;
  return reservation;
}

absl::StatusOr<uint64_t> SessionTable::Commit(SessionLease* lease, SessionCommit commit) {
  const std::shared_ptr<Session> session = std::exchange(lease->session_, nullptr);
  MutexLock lock(&mutex_);
  Entry* entry = Find(session->tenant, session->id);
  if (entry == nullptr) return DeletedMeanwhile(session->id);
  entry->history.insert(entry->history.end(), commit.appended.begin(), commit.appended.end());
  entry->pending_tokens = commit.pending_tokens;
  entry->text_remainder = std::move(commit.text_remainder);
  entry->resident = static_cast<bool>(commit.slot);
  entry->used_unix_ms = UnixMillis();
  entry->running = false;
  ++entry->revision;
  // The old slot leaves with `commit`, which is destroyed (and zeroes it) after the lock is gone.
  std::swap(session->slot, commit.slot);
  return entry->revision;
}

absl::StatusOr<std::vector<SessionInfo>> SessionTable::CommitChildren(
    SessionLease* lease, SessionReservation* reservation, std::vector<SessionCommit> commits) {
  const std::shared_ptr<Session> parent = std::exchange(lease->session_, nullptr);
  SessionReservation room = std::move(*reservation);
  MutexLock lock(&mutex_);
  Entry* base = Find(parent->tenant, parent->id);
  if (base == nullptr) {
    tenants_[parent->tenant].reserved -= std::exchange(room.count_, 0);
    DropIfEmpty(parent->tenant);
    return DeletedMeanwhile(parent->id);
  }
  base->running = false;
  base->used_unix_ms = UnixMillis();
  tenants_[parent->tenant].reserved -= std::exchange(room.count_, 0);
  std::vector<SessionInfo> children;
  children.reserve(commits.size());
  for (SessionCommit& commit : commits) {
    Entry* child = Insert(parent->tenant, parent->model);  // map nodes: `base` stays valid
    child->history = base->history;
    child->history.insert(child->history.end(), commit.appended.begin(), commit.appended.end());
    child->pending_tokens = commit.pending_tokens;
    child->text_remainder = std::move(commit.text_remainder);
    child->resident = static_cast<bool>(commit.slot);
    child->revision = 1;
    child->session->slot = std::move(commit.slot);
    children.push_back(Describe(*child));
  }
  return children;
}

void SessionTable::EndTurn(const Session& session) {
  MutexLock lock(&mutex_);
  Entry* entry = Find(session.tenant, session.id);
  if (entry != nullptr) entry->running = false;
}

void SessionTable::Unreserve(const std::string& tenant, int count) {
  MutexLock lock(&mutex_);
  tenants_[tenant].reserved -= count;
  DropIfEmpty(tenant);
}

}  // namespace ssmd
