// A SharedStore of an engine's own that is somebody else's, so that several engines have one.
#ifndef SSMD_TESTS_SUPPORT_FORWARDING_SHARED_STORE_H_
#define SSMD_TESTS_SUPPORT_FORWARDING_SHARED_STORE_H_

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/mutex.h"
#include "engine/shared/shared_store.h"

namespace ssmd::test {

class ForwardingSharedStore final : public SharedStore {
 public:
  // `store` outlives it.
  explicit ForwardingSharedStore(SharedStore* store) : store_(store) {}

  absl::StatusOr<bool> Renew(const Replica& self, Duration ttl) override {
    return store_->Renew(self, ttl);
  }
  absl::Status Leave(const Replica& self) override { return store_->Leave(self); }
  absl::StatusOr<std::vector<SessionKey>> Wanted(const Replica& self, Duration patience) override {
    return store_->Wanted(self, patience);
  }
  absl::StatusOr<Claim> TryClaim(const Replica& self, const SessionKey& key,
                                 bool take_over) override {
    return store_->TryClaim(self, key, take_over);
  }
  absl::Status GiveUp(const Replica& self, const SessionKey& key, uint64_t fence) override {
    if (before_giving_up_ != nullptr) before_giving_up_();
    return store_->GiveUp(self, key, fence);
  }
  absl::Status PutImage(const Write& write, uint64_t number, std::string_view image) override {
    return store_->PutImage(write, number, image);
  }
  absl::Status Append(const Write& write, uint64_t number, std::string_view change) override {
    return store_->Append(write, number, change);
  }
  absl::Status PutState(const Write& write, const SharedState& state) override {
    if (no_room_for_states_) return absl::ResourceExhaustedError("the tenant's bytes");
    return store_->PutState(write, state);
  }
  absl::Status DropState(const Write& write, const std::string& name) override {
    {
      MutexLock lock(&mutex_);
      const absl::Status fault = std::exchange(drop_fault_, absl::OkStatus());
      if (!fault.ok()) return fault;
    }
    return store_->DropState(write, name);
  }
  absl::Status Delete(const Replica& self, const SessionKey& key, uint64_t fence) override {
    return store_->Delete(self, key, fence);
  }
  absl::StatusOr<SharedList> List(const std::string& tenant, const std::string& after,
                                  int most) override {
    return store_->List(tenant, after, most);
  }
  SharedStoreFigures figures() const override { return store_->figures(); }

  void set_no_room_for_states() { no_room_for_states_ = true; }
  // The next one.
  void FailDropState(absl::Status fault) {
    MutexLock lock(&mutex_);
    drop_fault_ = std::move(fault);
  }
  // Before anybody wants one of the sessions.
  void set_before_giving_up(std::function<void()> function) {
    before_giving_up_ = std::move(function);
  }

 private:
  SharedStore* const store_;
  std::function<void()> before_giving_up_;
  std::atomic<bool> no_room_for_states_{false};
  Mutex mutex_;
  absl::Status drop_fault_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ssmd::test

#endif  // SSMD_TESTS_SUPPORT_FORWARDING_SHARED_STORE_H_
