// A SharedStore in memory: the contract of engine/shared/shared_store.h, with a clock that a test
// moves and faults that it chooses. What a real store can do to its callers it can do: fail before
// or after a call's effect, have the effect later, be unreachable, come back with an older copy or
// with nothing.
//
// Thread-safe. Nothing waits: Wanted answers with what is there, however much patience it is given.
#ifndef SSMD_TESTS_SUPPORT_MEMORY_SHARED_STORE_H_
#define SSMD_TESTS_SUPPORT_MEMORY_SHARED_STORE_H_

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "engine/shared/shared_store.h"

namespace ssmd::test {

class MemorySharedStore final : public SharedStore {
 public:
  struct Options {
    int64_t tenant_bytes = 0;  // 0: no limit
    int64_t session_bytes_max = int64_t{256} << 20;
  };
  // `clock` must outlive it.
  MemorySharedStore(const Clock* clock, const Options& options)
      : clock_(clock), options_(options) {}

  enum class Fault {
    kBefore,  // no effect
    kAfter,   // its effect, and no answer
    kLate,    // its effect at DeliverLate, and no answer
  };
  // Of the n-th call from now; 1: the next.
  void FailCall(int n, Fault fault);
  void DeliverLate();
  void SetReachable(bool reachable);

  // Everything that is kept, to be lost and found.
  struct Session {
    bool deleted = false;
    std::string owner;    // empty: nobody
    std::string process;  // the owner's incarnation
    uint64_t fence = 0;
    std::string writer;
    uint64_t image_number = 0;
    std::string image;
    std::string summary;
    std::deque<std::string> changes;
    std::map<std::string, SharedState> states;
    TimePoint end;

    uint64_t last_number() const { return image_number + changes.size(); }
    int64_t bytes() const;
  };
  struct Presence {
    std::string address;
    std::string incarnation;
    TimePoint end;
  };
  using Name = std::pair<std::string, std::string>;  // tenant, id
  struct Contents {
    std::map<Name, Session> sessions;
    std::map<std::string, Presence> present;             // by replica
    std::map<std::string, std::deque<Name>> wished_for;  // by replica
  };
  Contents Save() const;
  void Restore(Contents contents);
  // Of the sessions that there are now.
  int64_t TenantBytes(const std::string& tenant) const;

  absl::StatusOr<bool> Renew(const Replica& self, Duration ttl) override;
  absl::Status Leave(const Replica& self) override;
  absl::StatusOr<std::vector<SessionKey>> Wanted(const Replica& self, Duration patience) override;
  absl::StatusOr<Claim> TryClaim(const Replica& self, const SessionKey& key,
                                 bool take_over) override;
  absl::Status GiveUp(const Replica& self, const SessionKey& key, uint64_t fence) override;
  absl::Status PutImage(const Write& write, uint64_t number, std::string_view image) override;
  absl::Status Append(const Write& write, uint64_t number, std::string_view change) override;
  absl::Status PutState(const Write& write, const SharedState& state) override;
  absl::Status DropState(const Write& write, const std::string& name) override;
  absl::Status Delete(const Replica& self, const SessionKey& key, uint64_t fence) override;
  absl::StatusOr<SharedList> List(const std::string& tenant, const std::string& after,
                                  int most) override;
  SharedStoreFigures figures() const override;

 private:
  struct Keeper;  // the contents, as a call sees them
  template <typename Result>
  using Effect = std::function<Result(Keeper*)>;

  // Makes a call, which is `effect`, and counts it. `bytes` are written.
  template <typename Result>
  Result Call(size_t bytes, const Effect<Result>& effect);

  const Clock* const clock_;
  const Options options_;
  mutable Mutex mutex_;
  Contents contents_ ABSL_GUARDED_BY(mutex_);
  std::map<int64_t, Fault> faults_ ABSL_GUARDED_BY(mutex_);  // by the number of the call
  std::vector<std::function<void(Keeper*)>> late_ ABSL_GUARDED_BY(mutex_);
  bool reachable_ ABSL_GUARDED_BY(mutex_) = true;
  SharedStoreFigures figures_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ssmd::test

#endif  // SSMD_TESTS_SUPPORT_MEMORY_SHARED_STORE_H_
