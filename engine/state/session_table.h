// All sessions: who owns which, what is committed, and which one has a turn in progress.
//
// Thread-safe. Callers create, look at and delete sessions from any thread; a turn takes a lease on
// its session when it is accepted and commits through it on the step thread. A tenant sees its own
// sessions only: another's id looks exactly like one that does not exist. A tenant's sessions are
// limited in number, and a history in length by whoever accepts turns (engine limits).
#ifndef SSMD_ENGINE_STATE_SESSION_TABLE_H_
#define SSMD_ENGINE_STATE_SESSION_TABLE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/mutex.h"
#include "engine/state/session.h"

namespace ssmd {

class SessionTable;

// The right to run the one turn that a session has at a time. Move-only; ends when destroyed, or by
// the commit. The table must outlive it.
class SessionLease {
 public:
  SessionLease() = default;
  SessionLease(SessionLease&& other) noexcept { *this = std::move(other); }
  SessionLease& operator=(SessionLease&& other) noexcept;
  ~SessionLease() { Release(); }

  explicit operator bool() const { return session_ != nullptr; }
  const std::shared_ptr<Session>& session() const { return session_; }
  const SessionBase& base() const { return base_; }
  void Release();

 private:
  friend class SessionTable;
  SessionTable* table_ = nullptr;
  std::shared_ptr<Session> session_;
  SessionBase base_;
};

// Room for sessions that a turn will create, counted against its tenant's limit until then.
class SessionReservation {
 public:
  SessionReservation() = default;
  SessionReservation(SessionReservation&& other) noexcept { *this = std::move(other); }
  SessionReservation& operator=(SessionReservation&& other) noexcept;
  ~SessionReservation() { Release(); }

  void Release();

 private:
  friend class SessionTable;
  SessionTable* table_ = nullptr;
  std::string tenant_;
  int count_ = 0;
};

struct DeletedSession {
  std::shared_ptr<Session> session;
  bool resident = false;  // held a slot, to be freed on the step thread
  bool running = false;   // a turn was in progress, to be cancelled there
};

class SessionTable {
 public:
  explicit SessionTable(int max_sessions_per_tenant) : max_sessions_(max_sessions_per_tenant) {}

  // --- Any thread ---
  absl::StatusOr<SessionInfo> Create(const std::string& tenant, const std::string& model);
  absl::StatusOr<SessionInfo> Get(const std::string& tenant, const std::string& session_id) const;
  // Ordered by id. `model` empty: all. `page_size` >= 1. INVALID_ARGUMENT for a page token that no
  // page can have returned.
  absl::StatusOr<SessionPage> List(const std::string& tenant, const std::string& model,
                                   int page_size, const std::string& page_token) const;
  absl::StatusOr<DeletedSession> Delete(const std::string& tenant, const std::string& session_id,
                                        std::optional<uint64_t> expected_revision);
  int64_t CountOf(const std::string& model) const;

  // ABORTED when a turn is in progress or the revision is another; `recent_tokens`: how much of the
  // history's end the turn wants to look back at.
  absl::StatusOr<SessionLease> BeginTurn(const std::string& tenant, const std::string& session_id,
                                         std::optional<uint64_t> expected_revision,
                                         int recent_tokens);
  absl::StatusOr<SessionReservation> Reserve(const std::string& tenant, int count);

  // --- Step thread ---
  // Makes the turn's result the session's, atomically, and ends the lease. The old slot is freed.
  // CANCELLED, changing nothing, when the session was deleted meanwhile.
  absl::StatusOr<uint64_t> Commit(SessionLease* lease, SessionCommit commit);
  // Leaves the leased session as it is and creates one child per commit from it, all or none. Ends
  // the lease and the reservation, which must cover the children.
  absl::StatusOr<std::vector<SessionInfo>> CommitChildren(SessionLease* lease,
                                                          SessionReservation* reservation,
                                                          std::vector<SessionCommit> commits);

 private:
  friend class SessionLease;
  friend class SessionReservation;

  struct Entry {
    std::shared_ptr<Session> session;
    uint64_t revision = 0;
    TokenLog history;
    int64_t pending_tokens = 0;
    std::string text_remainder;
    bool running = false;
    bool resident = false;
    int64_t created_unix_ms = 0;
    int64_t used_unix_ms = 0;
  };
  struct Tenant {
    std::map<std::string, Entry> sessions;
    int reserved = 0;
  };

  static SessionInfo Describe(const Entry& entry);
  const Entry* Find(const std::string& tenant, const std::string& session_id) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Entry* Find(const std::string& tenant, const std::string& session_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Entry* Insert(const std::string& tenant, const std::string& model)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckRoom(const std::string& tenant, int count) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropIfEmpty(const std::string& tenant) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndTurn(const Session& session);
  void Unreserve(const std::string& tenant, int count);

  const int max_sessions_;
  mutable Mutex mutex_;
  // Ordered, because lists are. A tenant without sessions and reservations has no entry.
  std::map<std::string, Tenant> tenants_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, int64_t> count_by_model_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_SESSION_TABLE_H_
