// Which sessions are served here, and what others are told of them: the part of a replica that
// talks to the SharedStore (README.md, "A session's way").
//
// Whoever is about to use a session holds it (Hold): one that is here already costs a look into a
// map; one that is elsewhere is claimed, or asked of its owner, and put into the SessionTable. What
// changes about sessions that are here is noted (by the SharedSessionLog) and written behind, by
// threads of this object's own.
//
// When the store is slow, full or gone, sessions that are here go on, and their changes wait: as
// records up to a limit, and past it as the mere fact that an image has to be written. Others are
// UNAVAILABLE. When another replica owns a session by now, it is dropped here.
//
// While another process is present as this replica, nothing is used here: not what is in the table,
// which a copy of a state directory has brought, nor are sessions made. Calls wait for it to end,
// as one that was killed does, and are UNAVAILABLE past their patience.
//
// Thread-safe.
#ifndef SSMD_ENGINE_SHARED_SESSION_SHARING_H_
#define SSMD_ENGINE_SHARED_SESSION_SHARING_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/clock.h"
#include "engine/session/session_log.h"
#include "engine/session/session_table.h"
#include "engine/shared/shared_store.h"

namespace ssmd {

struct SharingLimits {
  Duration presence = std::chrono::seconds(3);  // after which others may take over from a dead one
  Duration patience = std::chrono::seconds(5);  // of a call whose session is elsewhere
  Duration state_after = std::chrono::seconds(1);  // from a commit to its state being written
  Duration keep = std::chrono::hours(7 * 24);      // a session that nobody uses, in the store
  int64_t queued_bytes = int64_t{64} << 20;        // of records that wait to be written
  int waiting_calls = 256;                         // whose sessions are elsewhere
};

struct SharingFigures {
  bool reachable = false;
  bool present = false;   // others know this replica as alive
  int64_t sessions = 0;   // owned
  int64_t unwritten = 0;  // of those, with changes that the store does not have
  int64_t queued_bytes = 0;
  Duration lag{};          // since the oldest of those changes
  int64_t claimed = 0;     // totals since the start: sessions that came from elsewhere
  int64_t taken_over = 0;  // of those, from an owner that had gone without giving them up
  int64_t given_up = 0;    // to others that asked, and at the end
  int64_t lost = 0;        // others had taken them
  int64_t failures = 0;    // of calls to the store; what it says of a session cannot be read
  std::string trouble;     // why the store could not be told that this replica lives; empty: it was
  Duration refused{};      // for how long another process has been present as this replica
};

class SessionSharing;
class SharingImpl;

// A session that stays here as long as this exists. Move-only.
class SessionHold {
 public:
  SessionHold() = default;
  SessionHold(SessionHold&& other) noexcept { *this = std::move(other); }
  SessionHold& operator=(SessionHold&& other) noexcept;
  ~SessionHold() { Release(); }
  void Release();

 private:
  friend class SharingImpl;
  SessionSharing* sharing_ = nullptr;  // null: there is nothing to hold it for
  SessionKey key_;
  uint64_t generation_ = 0;
};

// What sharing needs of the engine that it is part of. Called on its threads.
struct SharingHooks {
  // The snapshot of a held state of a model; blocking.
  std::function<absl::StatusOr<std::string>(const std::string& model, const StateRef& state)>
      encode_state;
  // A state from a snapshot, of `history_hash`'s tokens; an error where it cannot be gone on from
  // here (another numerics profile): the tokens are read again then.
  std::function<absl::StatusOr<StateRef>(const std::string& model, const SharedState& state,
                                         uint64_t history_hash)>
      adopt_state;
  // Whether a session that comes can be served here: its model is, there is room, and its tokens
  // are ones of that model, no more than a history may have.
  std::function<absl::Status(const SessionImage& image)> check_image;
  // The session is not here any more: whatever runs on it ends.
  std::function<void(const SessionKey& key, const std::string& model)> on_gone;
};

class SessionSharing {
 public:
  // `local`: the log that is this replica's own. All must outlive it. `models` as of the table.
  // Sessions that are in the table already (from a state directory) are looked at again in the
  // store before they are served: another may have gone on with them.
  static std::unique_ptr<SessionSharing> Make(Replica self, const SharingLimits& limits,
                                              SharedStore* store, SessionTable* table,
                                              SessionLog* local,
                                              std::vector<ModelOfSessions> models,
                                              SharingHooks hooks);
  virtual ~SessionSharing() = default;
  // Its threads, from which the hooks are called. Once.
  virtual void Start() = 0;
  // No more calls to the store, the table or the hooks; every callback that is still out is called
  // before it returns, later ones at once. What was not written is not (see Leave).
  virtual void Stop() = 0;

  // --- Before a session is used ---
  // At once, or nullopt when it takes a call to the store (or a wait).
  virtual std::optional<SessionHold> TryHold(const SessionKey& key) = 0;
  // NOT_FOUND; UNAVAILABLE (reason SHARED_STORE, SESSION_ELSEWHERE) with a delay to try again
  // after; DATA_LOSS; RESOURCE_EXHAUSTED, FAILED_PRECONDITION where it cannot be served here.
  // Waits until `deadline` or the limit of patience.
  virtual absl::StatusOr<SessionHold> Hold(const SessionKey& key,
                                           std::optional<TimePoint> deadline) = 0;
  // The same on another thread. `done` is called once; it may block for a while.
  using HoldDone = std::function<void(absl::StatusOr<SessionHold>)>;
  virtual void HoldThen(const SessionKey& key, std::optional<TimePoint> deadline,
                        HoldDone done) = 0;

  // Of a session that is DATA_LOSS: what the store has of it, whoever's it is.
  virtual absl::Status DeleteDamaged(const SessionKey& key) = 0;

  // --- All of a tenant's sessions, wherever they are ---
  // As SessionTable::List. What is here is as the table says, the rest as it was written last. A
  // page may be of fewer sessions, or none, and not the last: it says so. UNAVAILABLE (reason
  // SHARED_STORE) when the store cannot be asked. Blocks for some calls to it.
  virtual absl::StatusOr<SessionPage> List(const std::string& tenant, const SessionFilter& filter,
                                           int page_size, const std::string& page_token) = 0;

  // --- What changed (SharedSessionLog) ---
  struct Change {
    enum class Kind : uint8_t { kMade, kChanged, kDeleted };
    SessionKey key;
    Kind kind = Kind::kChanged;
    std::string record;  // of kChanged: EncodeChanges, without states
  };
  // Gets OK once the store has what it is about; UNAVAILABLE when it could not be written (reason
  // NOT_REPLICATED) or another replica has the session (SESSION_MOVED).
  using Done = std::function<void(absl::Status)>;
  // Before changes are applied here, and until they were noted: a session that was given up in
  // between would go without them. UNAVAILABLE (SESSION_MOVED) when one is about to be another's,
  // (SHARED_STORE) while another process is present as this replica.
  virtual absl::StatusOr<std::vector<SessionHold>> HoldToChange(
      const std::vector<Change>& changes) = 0;
  // In the order in which they were applied. `done` may be null.
  virtual void Note(std::vector<Change> changes, Done done) = 0;
  // Everything that was noted of a session.
  virtual void WhenWritten(const SessionKey& key, Done done) = 0;
  // Others may think that this replica is dead, and may have taken its sessions.
  virtual bool may_have_lost() const = 0;

  // --- The end ---
  // Writes everything and gives every session up, until `deadline`; after that no session is here.
  // An error says how many were left.
  virtual absl::Status Leave(TimePoint deadline) = 0;

  virtual SharingFigures figures() const = 0;

 private:
  friend class SessionHold;
  virtual void Release(const SessionKey& key, uint64_t generation) = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_SESSION_SHARING_H_
