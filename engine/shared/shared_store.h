// What replicas share of sessions, outside of any of them: who owns which, and enough of each to go
// on with it elsewhere (README.md). Redis behind it, in production (redis_store.h).
//
// A session has one record: its owner and a fence, which rises by one with every new owner; an
// image of the whole session as of some number; the changes after it, numbered without a gap; and
// states, by name. Every write says under which fence: one of an earlier owner changes nothing. So
// of two replicas that both think they own a session, only the later can write.
//
// An owner is alive as long as it renews its presence. A session whose owner gave it up is free at
// once; one whose owner's presence has ended is free to a caller who says that it may be (who must
// know that the store itself was well for that long: nobody can renew at a store that is down).
//
// Calls block, for no longer than the store's own timeout and what large values take to move.
// Thread-safe. Errors:
//   UNAVAILABLE         the store cannot be reached, was too slow or busy, or answers what it
//                       should not. The call may have had its effect all the same, or have it
//                       later; each can be made again.
//   ABORTED             the caller does not own the session under that fence (any more).
//   FAILED_PRECONDITION another process is present as `self`, of which the store knows by its
//                       incarnation. Nothing was changed, and nothing is until its presence has
//                       ended or it has left: one that was killed, or a copy of a state directory.
//   RESOURCE_EXHAUSTED  the tenant's bytes, the store's memory, or one session's limits.
//   DATA_LOSS           what is there cannot be: the session is of no use until it is deleted
//                       (under kAnyFence: it has none to go by).
//   INVALID_ARGUMENT    a bug of the caller's: an id, a fence or a number that cannot be.
//
// A store may lose what it acknowledged and have an older copy, or nothing (a failover, a restart).
// A fence greater than the one there tells: nothing of the older copy is added to. It is as if
// there were no session, until the caller puts its image in its place.
#ifndef SSMD_ENGINE_SHARED_SHARED_STORE_H_
#define SSMD_ENGINE_SHARED_SHARED_STORE_H_

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/clock.h"
#include "engine/session/session.h"

namespace ssmd {

// A process that serves sessions. Another after a restart, unless it kept its state directory.
struct Replica {
  std::string id;           // 32 lower-case hexadecimal digits
  std::string address;      // for people and routers: "host:port"
  std::string incarnation;  // likewise 32 digits, new in every process
};

// The state of the present (`name` empty) or of a checkpoint.
struct SharedState {
  std::string name;
  int64_t position = 0;  // tokens that it has consumed
  std::string snapshot;  // EncodeSnapshot of it, without a session
};

struct SharedSession {
  uint64_t fence = 0;
  std::string writer;  // id of the replica that wrote last
  uint64_t image_number = 0;
  std::string image;                 // EncodeChanges of one SessionImage
  std::vector<std::string> changes;  // EncodeChanges each, image_number + 1 and on
  std::vector<SharedState> states;

  uint64_t last_number() const { return image_number + changes.size(); }
};

// Greater than any fence there is: for Delete.
inline constexpr uint64_t kAnyFence = std::numeric_limits<uint64_t>::max();

// What came of trying to own a session.
struct NoSuchSession {};
struct OwnedElsewhere {
  Replica owner;
  // False: its presence has ended (its address is not known then), and the caller did not say that
  // it may.
  bool present = true;
};
using Claim = std::variant<SharedSession, NoSuchSession, OwnedElsewhere>;

// A session in a list.
struct SharedSummary {
  std::string id;
  std::string summary;  // as it was written last
};
struct SharedList {
  std::vector<SharedSummary> sessions;  // by id
  std::string next;  // the last id that was looked at; empty where there are no more
};

struct SharedStoreFigures {
  bool reachable = false;  // the last call got an answer
  int64_t calls = 0;       // totals since the start
  int64_t failures = 0;
  int64_t bytes_written = 0;
  int64_t bytes_read = 0;
};

class SharedStore {
 public:
  virtual ~SharedStore() = default;

  // --- Presence ---
  // From now on, for `ttl`. Whether it was present until now: one that was late is not, nor one
  // that the store has lost, of whose sessions it may have lost some, too. Of two processes of one
  // id the first has it; the other has it when that one's has ended.
  virtual absl::StatusOr<bool> Renew(const Replica& self, Duration ttl) = 0;
  // No longer; what it owned and did not give up is free to others.
  virtual absl::Status Leave(const Replica& self) = 0;
  // Sessions that others asked `self` for (see TryClaim), waiting up to `patience` for the first
  // one; each is told once, at most 256 at a time. One that `self` does not know that it owns (a
  // claim whose answer was lost) is to be claimed and given up. One caller at a time, who is
  // present: another process of the same id would take what the first is asked for.
  virtual absl::StatusOr<std::vector<SessionKey>> Wanted(const Replica& self,
                                                         Duration patience) = 0;

  // --- Owning ---
  // Of a session that this process owns already: everything, under the same fence; of one that an
  // earlier process of the same replica owns, under the next. One that is owned by a present
  // replica is asked of it; one whose owner's presence has ended is taken only where `take_over`.
  virtual absl::StatusOr<Claim> TryClaim(const Replica& self, const SessionKey& key,
                                         bool take_over) = 0;
  // Free for anybody. NOT_FOUND when there is no such session, or an older one. After UNAVAILABLE
  // it is to be made again before the session is claimed again: it may still come, and free it.
  virtual absl::Status GiveUp(const Replica& self, const SessionKey& key, uint64_t fence) = 0;

  // --- Writing, under a fence ---
  // Every write makes the session last for another `ttl` and counts against its tenant's bytes.
  struct Write {
    SessionKey key;
    Replica self;
    uint64_t fence = 0;
    Duration ttl{};
    // What lists are to say of the session; empty: as before. At most 1 KiB. Kept by PutImage and
    // Append where they change something.
    std::string_view summary{};
  };
  // Replaces the image and all changes up to `number`; where the image there is newer: nothing, OK.
  // Makes the session if there is none (a new one, or one that the store has lost), owned by `self`
  // under that fence; then, and only then, `states` that were there before are not.
  virtual absl::Status PutImage(const Write& write, uint64_t number, std::string_view image) = 0;
  // NOT_FOUND when there is no such session, OUT_OF_RANGE when the last number there is not
  // number − 1 or 1024 changes are there already: PutImage mends both. A number that is there
  // already: nothing, OK.
  virtual absl::Status Append(const Write& write, uint64_t number, std::string_view change) = 0;
  // Replaces the one of that name. NOT_FOUND when there is no such session.
  virtual absl::Status PutState(const Write& write, const SharedState& state) = 0;
  // One that is absent: OK. NOT_FOUND when there is no such session.
  virtual absl::Status DropState(const Write& write, const std::string& name) = 0;
  // Of something absent: OK. It stays deleted: a write that comes late is ABORTED.
  virtual absl::Status Delete(const Replica& self, const SessionKey& key, uint64_t fence) = 0;

  // --- Looking ---
  // Of the tenant's sessions those with ids after `after` (empty: all), looking at no more than
  // `most`, from 1 to 256. One that ended, was deleted or never got a summary is not in it, so that
  // it may be of none and go on all the same. Whose they are does not matter.
  virtual absl::StatusOr<SharedList> List(const std::string& tenant, const std::string& after,
                                          int most) = 0;

  virtual SharedStoreFigures figures() const = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_SHARED_STORE_H_
