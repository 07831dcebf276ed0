// The inside of the SessionTable, shared by the files that implement it: session_table.cc (looking,
// limits, upkeep), session_turns.cc (queues and the ends of turns), session_proposals.cc, and
// session_apply.cc (applying and recovery).
//
// One lock. What is done under it does not grow with the length of a history, but for deletions
// (which let go of its blocks) and imports.
#ifndef SSMD_ENGINE_SESSION_SESSION_TABLE_IMPL_H_
#define SSMD_ENGINE_SESSION_SESSION_TABLE_IMPL_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/mutex.h"
#include "engine/session/session_entry.h"
#include "engine/session/session_table.h"

namespace ssmd {

class SessionTable::Impl {
 public:
  struct Place {
    uint64_t number = 0;
    RequestKey request;
  };

  // What is counted of a session, for the totals.
  struct Footprint {
    int64_t states = 0;
    int64_t state_bytes = 0;     // with what its first turn is going to hold
    int64_t turn_end_bytes = 0;  // of turn ends' states
  };

  struct Tenant;
  struct Row {
    Tenant* tenant = nullptr;
    std::shared_ptr<SessionEntry> entry;  // changed between Open and Close alone: it may be frozen
    std::deque<Place> queue;              // of turns; the first one runs, or may begin
    bool proposed = false;                // a proposal about it is out
    bool rewinding = false;               // and that is a rewind: no turn begins
    bool commit_waits = false;            // the running turn's commit is the next proposal
    Footprint footprint;
  };

  struct Tenant {
    std::map<std::string, Row> rows;  // by session id
    int64_t reserved_sessions = 0;
    int64_t reserved_bytes = 0;
    int64_t state_bytes = 0;
  };

  struct ModelCount {
    int64_t sessions = 0;
    int64_t states = 0;
  };

  // What is to be done when the lock is gone: declare it before the MutexLock.
  struct Aftermath {
    Aftermath() = default;
    Aftermath(const Aftermath&) = delete;
    Aftermath& operator=(const Aftermath&) = delete;
    ~Aftermath();

    std::vector<StateRef> states;  // to be let go
    std::vector<std::shared_ptr<const SessionEntry>> entries;
    std::shared_ptr<const std::function<void()>> on_available;  // to be called
  };

  Impl(const SessionLimits& limits_in, std::vector<ModelOfSessions> models_in,
       std::function<int64_t()> unix_ms_in);

  // --- Finding --- (session_table.cc)
  Row* Find(const std::string& tenant, const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  Row* Find(const SessionKey& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return Find(key.tenant, key.id);
  }
  const ModelOfSessions* FindModel(const std::string& name) const;
  // Of a session; FAILED_PRECONDITION where it is not the one that it was of.
  absl::StatusOr<const ModelOfSessions*> ModelInService(const std::string& session_id,
                                                        const Row& row) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  SessionInfo Describe(const Row& row) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  // --- Limits --- (session_table.cc)
  absl::Status CheckSessions(const std::string& tenant, int64_t count)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  absl::Status CheckBytes(const std::string& tenant, int64_t bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Reserve(const std::string& tenant, int64_t sessions, int64_t bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Unreserve(const std::string& tenant, int64_t sessions, int64_t bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  // --- Changing --- (session_table.cc)
  // A row's entry and queue may be changed between the two: Open takes the row out of the totals
  // and gives its entry, copied first if it is frozen; Close puts it back.
  SessionEntry& Open(Row* row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Close(Row* row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Insert(SessionEntry entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Erase(Row* row, Aftermath* after) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  bool DropTurnEndState(Aftermath* after) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Notify(Aftermath* after) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    after->on_available = on_available;
  }

  // --- Turns --- (session_turns.cc)
  absl::StatusOr<Retry> Known(const Row& row, const RequestKey& key) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Leave(Row* row, uint64_t place, Aftermath* after) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // The row of a turn that ends: CANCELLED when it is gone, null when another proposal is out.
  absl::StatusOr<Row*> RowOfCommit(const SessionLease& lease) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  // --- Proposals --- (session_proposals.cc)
  // The session, once no other proposal about it is out.
  absl::StatusOr<Row*> Await(const std::string& tenant, const std::string& id,
                             std::optional<uint64_t> expected_revision = std::nullopt)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // `row`: the session that exists already, or null.
  Proposal MakeProposal(SessionTable* table, Row* row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void ReserveFor(Proposal* proposal, const std::string& tenant, int sessions, int64_t bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  Proposal ProposeImage(SessionTable* table, SessionImage image)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void End(const Proposal& proposal, Aftermath* after) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  // --- Applying --- (session_apply.cc)
  // What the changes do not hand over stays in them, to be let go after the lock.
  absl::Status Apply(std::vector<SessionChange>* changes, Aftermath* after)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  const SessionLimits limits;
  const std::vector<ModelOfSessions> models;
  const std::function<int64_t()> unix_ms;

  Mutex mutex;
  CondVar proposal_ended;
  std::map<std::string, Tenant> tenants ABSL_GUARDED_BY(mutex);
  std::map<std::string, ModelCount> model_counts ABSL_GUARDED_BY(mutex);
  std::map<uint64_t, Row*> turn_end_states ABSL_GUARDED_BY(mutex);  // by their last use
  int64_t turn_end_bytes ABSL_GUARDED_BY(mutex) = 0;
  std::deque<std::string> moved_away ABSL_GUARDED_BY(mutex);  // the last ids of NoteMoved
  uint64_t uses ABSL_GUARDED_BY(mutex) = 0;
  uint64_t last_place ABSL_GUARDED_BY(mutex) = 0;
  std::shared_ptr<const std::function<void()>> on_available ABSL_GUARDED_BY(mutex);

 private:
  void Subtract(Row* row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void DropIfEmpty(const std::string& tenant) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  ChangeScope ScopeOf(Aftermath* after) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return {limits, &uses, &after->states};
  }
  absl::Status ApplyOne(SessionCreated&& change, Aftermath* after)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  absl::Status ApplyOne(SessionForked&& change, Aftermath* after)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  absl::Status ApplyOne(SessionImage&& change, Aftermath* after)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  absl::Status ApplyOne(SessionDeleted&& change, Aftermath* after)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // The others, which change an entry.
  template <typename Change>
  absl::Status ApplyOne(Change&& change, Aftermath* after) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SESSION_SESSION_TABLE_IMPL_H_
