// All sessions: who owns which, what is committed, and whose turn it is.
//
// A change is proposed, written to the log, and applied: `Propose…` checks it against what is there
// and reserves it; nothing has happened until `Apply`, and nothing ever does if the proposal is
// dropped. While a proposal about a session is out, others about it wait, so that the log has the
// changes of a session in the order in which they are applied. (SessionLog does the writing.)
//
// Turns of one session run one after the other: each takes a place in the session's queue when it
// is accepted, and begins when it is at the front.
//
// Thread-safe. A tenant sees its own sessions only: another's id looks exactly like one that does
// not exist. Sessions, states, checkpoints and queues are limited; histories by whoever accepts
// turns.
#ifndef SSMD_ENGINE_SESSION_SESSION_TABLE_H_
#define SSMD_ENGINE_SESSION_SESSION_TABLE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/session/session.h"
#include "engine/session/session_change.h"

namespace ssmd {

struct SessionLimits {
  int sessions_per_tenant = 10000;
  int64_t state_bytes_per_tenant = 0;  // states and checkpoints, shared ones too; 0: no limit
  int checkpoints = 16;                // of a session
  int turn_ends = 64;                  // known, of a session
  int turn_end_states = 4;             // of those, with their states, of a session
  int64_t turn_end_bytes = int64_t{128} << 20;  // of such states, all sessions together
  int waiting_turns = 16;                       // of a session, behind the one that runs
  int results = 16;                             // of a session
  int64_t result_bytes = int64_t{1} << 20;      // of a session's results
};

// What the table has to know of a model; by its name.
struct ModelOfSessions {
  std::string name;
  std::string fingerprint;
  int64_t state_bytes = 0;
  // What the first `length` tokens of a history end with that is no whole character yet. Null: its
  // tokens are no text. Called under the table's lock.
  std::function<std::string(const History& history, int64_t length)> text_remainder = nullptr;
};

class SessionTable;
struct SessionEntry;  // session_entry.h

// Changes that were checked and not applied yet. Move-only; dropping it gives up what it reserved.
// The table must outlive it.
class Proposal {
 public:
  Proposal() = default;
  Proposal(Proposal&& other) noexcept;
  Proposal& operator=(Proposal&& other) noexcept;
  ~Proposal() { Abandon(); }

  explicit operator bool() const { return table_ != nullptr; }
  const std::vector<SessionChange>& changes() const { return changes_; }
  void Abandon();

 private:
  friend class SessionTable;
  SessionTable* table_ = nullptr;
  std::vector<SessionChange> changes_;
  std::vector<SessionKey> held_;  // sessions about which this is the one proposal
  std::string tenant_;
  int reserved_sessions_ = 0;
  int64_t reserved_bytes_ = 0;
  uint64_t place_ = 0;  // a turn's, which ends with the proposal (see ProposeCommit)
};

// A turn's place in the queue of its session. Move-only; leaves the queue when destroyed. The table
// must outlive it.
class SessionLease {
 public:
  SessionLease() = default;
  SessionLease(SessionLease&& other) noexcept { *this = std::move(other); }
  SessionLease& operator=(SessionLease&& other) noexcept;
  ~SessionLease() { Release(); }

  explicit operator bool() const { return table_ != nullptr; }
  const SessionKey& key() const { return key_; }
  // True when the turn is the next one, or the session is gone (Begin says so then).
  bool AtFront() const;
  // NOT_FOUND when the session is gone, ABORTED when its revision is not the expected one.
  // `recent_tokens`: how much of the history's end the turn wants to look back at.
  // REQUIRES: AtFront().
  absl::StatusOr<SessionBase> Begin(std::optional<uint64_t> expected_revision, int recent_tokens);
  void Release();

 private:
  friend class SessionTable;
  SessionTable* table_ = nullptr;
  SessionKey key_;
  uint64_t place_ = 0;
};

// Room for sessions that a turn will create, and their states, counted against its tenant's limits
// until then.
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
  int64_t bytes_ = 0;
};

// One session as it was when all were frozen, until it is let go. The table must outlive it.
class FrozenSession {
 public:
  FrozenSession(FrozenSession&& other) noexcept = default;
  FrozenSession& operator=(FrozenSession&& other) = delete;
  ~FrozenSession();

  // Everything about it. Its state is one that the store has, if there is any.
  SessionImage Image() const;
  const SessionKey& key() const;
  const std::string& model() const;
  // The states that are held of it, wherever they are: the present's (no name), checkpoints'.
  struct NamedState {
    std::string checkpoint;
    StateRef state;
  };
  std::vector<NamedState> States() const;

 private:
  friend class SessionTable;
  FrozenSession(const SessionTable* table, std::shared_ptr<const SessionEntry> entry);
  const SessionTable* table_;
  std::shared_ptr<const SessionEntry> entry_;
};

enum class WhenBusy : uint8_t { kAbort, kWait };

struct ForkOptions {
  int count = 1;
  std::string checkpoint;           // start from it; empty: from the present
  std::optional<int64_t> position;  // or from a held point of the history
  std::optional<uint64_t> expected_revision;
  SessionLifetime lifetime;
};

struct RewindTarget {
  std::string checkpoint;           // either this one
  std::optional<int64_t> position;  // or a position of the history
  std::optional<int> turns;         // or so many turn ends back, >= 1
  bool allow_recompute = false;     // where no state is held: the next turn feeds it again
  std::optional<uint64_t> expected_revision;
};

struct CheckpointOptions {
  std::string name;  // 1 to 64 characters of A-Z a-z 0-9 . _ -
  bool remove = false;
  std::optional<uint64_t> expected_revision;
};

class SessionTable {
 public:
  // `unix_ms`: the time, for tests; null: the system's.
  SessionTable(const SessionLimits& limits, std::vector<ModelOfSessions> models,
               std::function<int64_t()> unix_ms = nullptr);
  ~SessionTable();

  const SessionLimits& limits() const;

  // --- Looking ---
  absl::StatusOr<SessionInfo> Get(const std::string& tenant, const std::string& session_id) const;
  // Ordered by id. `page_size` >= 1. INVALID_ARGUMENT for a page token that no page can have
  // returned.
  absl::StatusOr<SessionPage> List(const std::string& tenant, const SessionFilter& filter,
                                   int page_size, const std::string& page_token) const;
  int64_t CountOf(const std::string& model) const;
  // Sessions whose state has to be somewhere, and checkpoints with one: an upper limit of the
  // states that cannot be let go.
  int64_t StatesOf(const std::string& model) const;
  // How many of a model's sessions have their state in each tier.
  std::vector<std::pair<StateTier, int64_t>> TiersOf(const std::string& model) const;

  // What a request with this key on this session means now.
  struct NewRequest {};
  struct RunningRequest {};  // the same one waits or runs: its stream can be taken over
  using Retry = std::variant<NewRequest, RunningRequest, TurnResult>;
  // ALREADY_EXISTS for a known request id with another body; NOT_FOUND for the session.
  absl::StatusOr<Retry> FindRequest(const std::string& tenant, const std::string& session_id,
                                    const RequestKey& key) const;

  // The whole committed session, as an export has it: the present, or a checkpoint.
  absl::StatusOr<SessionImage> Image(const std::string& tenant, const std::string& session_id,
                                     const std::string& checkpoint) const;

  // What a turn of the session would build on now.
  absl::StatusOr<SessionBase> Base(const std::string& tenant, const std::string& session_id) const;

  // --- Turns ---
  // ABORTED (reason SESSION_BUSY) when a turn runs or waits and `busy` is kAbort;
  // RESOURCE_EXHAUSTED when too many wait, or the tenant's states are too many bytes for a first
  // one of this session; FAILED_PRECONDITION when its model is not the one that is served under
  // that name. A mismatch of `expected_revision` is found here when nothing is before this turn,
  // else when it begins. `key` may be empty; ALREADY_EXISTS when it is known by now (reason
  // REQUEST_KNOWN: FindRequest tells what it means; REQUEST_ID_REUSED: it had another body).
  absl::StatusOr<SessionLease> Enqueue(const std::string& tenant, const std::string& session_id,
                                       WhenBusy busy, std::optional<uint64_t> expected_revision,
                                       const RequestKey& key);
  absl::StatusOr<SessionReservation> Reserve(const std::string& tenant, const std::string& model,
                                             int count);
  // Called (under no lock, on the releasing thread) whenever the front of some queue may have
  // changed, or a proposal that others wait for has ended.
  void SetOnAvailable(std::function<void()> on_available);

  // --- Proposals ---
  // They wait for an earlier proposal about the same session to end (a log write), but for
  // ProposeCommit and ProposeChildren, which return an empty Proposal then, to be tried again.
  absl::StatusOr<Proposal> ProposeCreate(const std::string& tenant, const std::string& model,
                                         const SessionLifetime& lifetime);
  absl::StatusOr<Proposal> ProposeFork(const std::string& tenant, const std::string& session_id,
                                       const ForkOptions& options);
  // ABORTED while a turn runs or waits. NOT_FOUND lists the held positions.
  absl::StatusOr<Proposal> ProposeRewind(const std::string& tenant, const std::string& session_id,
                                         const RewindTarget& target);
  absl::StatusOr<Proposal> ProposeCheckpoint(const std::string& tenant,
                                             const std::string& session_id,
                                             const CheckpointOptions& options);
  // A turn that runs or waits finds its session gone; `busy` tells whether there is one.
  absl::StatusOr<Proposal> ProposeDelete(const std::string& tenant, const std::string& session_id,
                                         std::optional<uint64_t> expected_revision, bool* busy);
  // `image`'s key, times and parent are made here; its tenant is `tenant`.
  absl::StatusOr<Proposal> ProposeImport(const std::string& tenant, SessionImage image);
  // A session that was served elsewhere, as it is. ALREADY_EXISTS when it is here. A tenant's
  // limits are asked when sessions are made, and not when they come: they were within them where
  // they were made, and have nowhere else to go.
  absl::StatusOr<Proposal> ProposeAdopt(SessionImage image);
  absl::StatusOr<Proposal> ProposeStored(const SessionKey& key, const std::string& checkpoint,
                                         StateRef state);
  // The end of a turn: takes the place of the lease, which is empty afterwards. CANCELLED when the
  // session was deleted meanwhile. `result`'s session id and revision are filled in.
  absl::StatusOr<Proposal> ProposeCommit(SessionLease* lease, SessionCommit* commit,
                                         std::optional<TurnResult>* result);
  // The same with a child a choice; the session stays as it is.
  absl::StatusOr<Proposal> ProposeChildren(SessionLease* lease, SessionReservation* reservation,
                                           std::vector<SessionCommit>* commits,
                                           std::optional<TurnResult>* result);

  // The sessions that the changes made or changed, in their order (none for a deletion).
  std::vector<SessionInfo> Apply(Proposal proposal);

  // The session is about to be deleted here because another replica has it: its turns are told so.
  void NoteMoved(const std::string& session_id);

  // --- Upkeep ---
  // Sessions whose time is over and that have no turn. (One may be used again before it is deleted:
  // look again when its deletion is proposed, for nothing commits then.)
  std::vector<SessionKey> Expired() const;
  // Gives up the turn-end state that was used longest ago. False when none is held.
  bool DropTurnEndState();
  // Up to `count` sessions (and checkpoints) whose state recovery would not find: those first whose
  // replay would be longest. For write-behind. A state that has a stored_id already, as a fork's
  // may that its parent stored since, needs no copy: StateStored has to say that it is this
  // session's.
  struct Unstored {
    SessionKey key;
    std::string model;
    std::string checkpoint;
    uint64_t history_hash = 0;  // of the first state->position tokens
    StateRef state;
    int64_t replay_tokens = 0;  // since the last stored state
    int64_t idle_ms = 0;        // since its last use
  };
  std::vector<Unstored> FindUnstored(size_t count) const;

  // --- Recovery and the log's image ---
  // Before anything else; changes are taken as they come. FAILED_PRECONDITION, DATA_LOSS or
  // NOT_FOUND for one that does not follow from those before it; one that was applied already does
  // nothing. After an error the table is of no use.
  absl::Status Replay(std::vector<SessionChange> changes);
  // Replaces every state by what `map` gives for it and its session's model, once, after recovery.
  using MapState = std::function<StateRef(const std::string& model, const StateRef& state)>;
  void MapStates(const MapState& map);
  // Every session as it is at one moment. Takes next to no time, whatever is in them: a session
  // that changes while it is frozen is copied first (its blocks of history stay shared).
  std::vector<FrozenSession> Freeze() const;
  // One of them; nullopt when it is not there.
  std::optional<FrozenSession> Freeze(const SessionKey& key) const;

 private:
  friend class Proposal;
  friend class SessionLease;
  friend class SessionReservation;
  friend class FrozenSession;
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SESSION_SESSION_TABLE_H_
