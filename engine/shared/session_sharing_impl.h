// The inside of SessionSharing, shared by the files that implement it: session_sharing.cc
// (presence, holds, the end), session_claims.cc (sessions that come), session_writes.cc (what is
// written, and sessions that go) and session_listing.cc.
//
// One lock, under which the store is never called. A session is a row; who works on one without the
// lock has it marked first: `kClaiming` and `kLeaving` are left by whoever set them, `writing` by
// the writer.
#ifndef SSMD_ENGINE_SHARED_SESSION_SHARING_IMPL_H_
#define SSMD_ENGINE_SHARED_SESSION_SHARING_IMPL_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/base/mutex.h"
#include "engine/shared/session_sharing.h"

namespace ssmd {

class SharingImpl final : public SessionSharing {
 public:
  SharingImpl(Replica self, const SharingLimits& limits, SharedStore* store, SessionTable* table,
              SessionLog* local, std::vector<ModelOfSessions> models, SharingHooks hooks);
  ~SharingImpl() override;

  std::optional<SessionHold> TryHold(const SessionKey& key) override;
  absl::StatusOr<SessionHold> Hold(const SessionKey& key,
                                   std::optional<TimePoint> deadline) override;
  void HoldThen(const SessionKey& key, std::optional<TimePoint> deadline, HoldDone done) override;
  absl::Status DeleteDamaged(const SessionKey& key) override;
  absl::StatusOr<SessionPage> List(const std::string& tenant, const SessionFilter& filter,
                                   int page_size, const std::string& page_token) override;
  absl::StatusOr<std::vector<SessionHold>> HoldToChange(
      const std::vector<Change>& changes) override;
  void Note(std::vector<Change> changes, Done done) override;
  void WhenWritten(const SessionKey& key, Done done) override;
  bool may_have_lost() const override;
  absl::Status Leave(TimePoint deadline) override;
  void Start() override;
  void Stop() override;
  SharingFigures figures() const override;

 private:
  enum class Phase : uint8_t {
    kRecovered,  // in the table, of a state directory: to be claimed before it is used
    kClaiming,   // in no table yet, or as kRecovered
    kHere,
    kLeaving,  // still in the table; nobody may begin to use it
  };
  struct Waiter {
    uint64_t number = 0;
    std::shared_ptr<const Done> done;
    TimePoint patient_until{};  // is not told before of a store that is away
  };
  // A state that the store has: position and hash of its tokens.
  using StateMark = std::pair<int64_t, uint64_t>;

  struct Row {
    Phase phase = Phase::kHere;
    uint64_t generation = 0;  // of the row: a hold of an earlier one is none of this
    uint64_t fence = 1;
    uint64_t noted = 0;               // number of the last change
    uint64_t written = 0;             // and of the last that the store has
    std::deque<std::string> records;  // the last ones up to `noted`, unless an image is needed
    bool needs_image = false;
    bool deleted = false;
    bool in_doubt = false;    // the store may have lost it
    int64_t image_bytes = 0;  // in the store
    int64_t record_bytes = 0;
    std::map<std::string, StateMark> states;  // in the store, by checkpoint
    std::optional<TimePoint> states_due;
    std::optional<TimePoint> dirty_since;
    std::optional<TimePoint> wanted_until;
    std::optional<TimePoint> came;  // from elsewhere
    std::optional<TimePoint> due;   // its place in `due_`
    bool writing = false;
    bool again = false;  // it came due while it was being written
    int holds = 0;
    std::vector<Waiter> waiters;
  };
  struct KeyLess {
    bool operator()(const SessionKey& a, const SessionKey& b) const {
      return std::tie(a.tenant, a.id) < std::tie(b.tenant, b.id);
    }
  };
  struct DueLess {
    bool operator()(const std::pair<TimePoint, SessionKey>& a,
                    const std::pair<TimePoint, SessionKey>& b) const {
      return std::tie(a.first, a.second.tenant, a.second.id) <
             std::tie(b.first, b.second.tenant, b.second.id);
    }
  };
  using Rows = std::map<SessionKey, Row, KeyLess>;
  struct HoldTask {
    SessionKey key;
    std::optional<TimePoint> deadline;
    HoldDone done;
  };

  // What a writer does next about a session.
  struct Step {
    enum class Kind : uint8_t { kDelete, kImage, kRecord, kLook, kStates, kGiveUp };
    Kind kind = Kind::kRecord;
    uint64_t fence = 0;
    uint64_t number = 0;
    bool is_last = false;                     // of kRecord: nothing else waits
    std::string bytes;                        // of kRecord, and of kImage once it is encoded
    std::optional<FrozenSession> frozen;      // of kImage and kStates
    std::map<std::string, StateMark> states;  // of kStates: what the store has, kept up
  };
  using Over = std::vector<std::pair<std::shared_ptr<const Done>, absl::Status>>;

  static TimePoint Now() { return std::chrono::steady_clock::now(); }
  void Release(const SessionKey& key, uint64_t generation) override;

  // --- session_sharing.cc ---
  Row* Find(const SessionKey& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Row* MakeRow(const SessionKey& key, Phase phase) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `over`: who waited for it to be written, to be called without the lock.
  void EraseRow(const SessionKey& key, const absl::Status& why, Over* over)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  SessionHold MakeHold(const SessionKey& key, Row* row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // To be looked at by a writer at `when`, or before that if it is already going to be.
  void Schedule(const SessionKey& key, Row* row, TimePoint when)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `done` may be null.
  void AwaitWriting(const SessionKey& key, Row* row, Waiter waiter, Over* over)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  TimePoint PatienceOfMakers() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void Tell(const Over& over);  // without the lock
  // At the end: to be written, and given up.
  void GiveWhenIdle(const SessionKey& key, Row* row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropRecords(Row* row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void KeepPresence();
  // Says that this replica is there, and notes whether the store had forgotten it. False: it could
  // not be told.
  bool Renew(TimePoint begin) ABSL_EXCLUSIVE_LOCKS_REQUIRED(presence_mutex_);
  // Whether what the store said at `when`, of owners that are gone and sessions that there are not,
  // is to be believed: it had known this replica for as long as others have to say that they are
  // there. One that was emptied knows nobody at first. Calls it, unless that was done since.
  bool IsTrusted(TimePoint when);
  // The store knows another process as this replica.
  bool IsRefused() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return refused_since_.has_value();
  }
  bool IsWell() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DoubtAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool left() const;
  void ServeHolds();
  absl::Status Refused() const;
  // `what` is not known without the store.
  absl::Status StoreError(absl::string_view what, const absl::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- session_claims.cc ---
  // Waits for the session to be here, or for it to be for this caller to claim (true: its row is
  // kClaiming then). False: it is here, and `hold` is set.
  absl::StatusOr<bool> AwaitTurnToClaim(const SessionKey& key, TimePoint give_up, bool* recovered,
                                        SessionHold* hold);
  // True: the session is here now. False: another replica has it still, or another process is
  // present as this one.
  absl::StatusOr<bool> TryToClaim(const SessionKey& key, bool recovered);
  void EndClaim(const SessionKey& key, bool recovered);
  absl::Status TakeIn(const SessionKey& key, SharedSession shared, bool recovered);
  void Enter(const SessionKey& key, const SharedSession* shared, bool as_written);
  // Takes the session out of the table, and what runs on it with it.
  void RemoveLocal(const SessionKey& key);
  void HearWishes();
  void Hear(const SessionKey& key);

  // --- session_listing.cc ---
  // What the store says: as many as are wanted, and some more; next_page_token is where it stopped
  // looking.
  absl::StatusOr<SessionPage> ListStore(const std::string& tenant, const SessionFilter& filter,
                                        size_t wanted, const std::string& after);

  // --- session_writes.cc ---
  void WriteInTime();
  // Everything that is due of a session. Its row is marked as `writing`.
  void WriteSession(const SessionKey& key);
  std::optional<Step> NextStep(const SessionKey& key);
  std::optional<Step> NextWrite(const SessionKey& key, Row* row)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Freeze(const SessionKey& key, Step* step) const;
  bool MayGive(const SessionKey& key, Row* row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What lists are to say of it from this step on; empty: as before.
  std::string Summary(const SessionKey& key, const Step& step) const;
  absl::Status Do(const SessionKey& key, Step* step);
  absl::Status WriteNothing(const SharedStore::Write& write);
  absl::Status WriteStates(const SharedStore::Write& write, Step* step);
  // False when the writer is done with the session.
  bool Succeeded(const SessionKey& key, const Step& step);
  bool Failed(const SessionKey& key, const Step& step, const absl::Status& status);
  void Lose(const SessionKey& key);

  const Replica self_;
  const SharingLimits limits_;
  SharedStore* const store_;
  SessionTable* const table_;
  SessionLog* const local_;
  const std::vector<ModelOfSessions> models_;
  const SharingHooks hooks_;

  Mutex presence_mutex_;  // held while it is renewed, or ended; never under mutex_
  mutable Mutex mutex_;
  CondVar changed_;  // a row's phase, or the end
  CondVar work_;     // something is due, or to be claimed
  Rows rows_ ABSL_GUARDED_BY(mutex_);
  std::set<std::pair<TimePoint, SessionKey>, DueLess> due_ ABSL_GUARDED_BY(mutex_);
  std::deque<HoldTask> hold_tasks_ ABSL_GUARDED_BY(mutex_);
  std::set<SessionKey, KeyLess> doubtful_ ABSL_GUARDED_BY(mutex_);
  uint64_t generations_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // Until when others certainly know that this replica is alive; since when the store is well.
  TimePoint present_until_ ABSL_GUARDED_BY(mutex_){};
  std::optional<TimePoint> well_since_ ABSL_GUARDED_BY(mutex_);
  std::optional<TimePoint> last_well_ ABSL_GUARDED_BY(mutex_);
  std::optional<TimePoint> refused_since_ ABSL_GUARDED_BY(mutex_);
  SharingFigures totals_ ABSL_GUARDED_BY(mutex_);
  bool leaving_ ABSL_GUARDED_BY(mutex_) = false;
  bool left_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;  // last: they use the rest
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_SESSION_SHARING_IMPL_H_
