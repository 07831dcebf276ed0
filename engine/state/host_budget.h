// Host memory for states outside of slots, shared by the models of an engine. Thread-safe.
#ifndef SSMD_ENGINE_STATE_HOST_BUDGET_H_
#define SSMD_ENGINE_STATE_HOST_BUDGET_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ssmd {

class HostBudget {
 public:
  explicit HostBudget(int64_t limit_bytes) : limit_(limit_bytes) {}

  bool TryCharge(size_t bytes) {
    const auto amount = static_cast<int64_t>(bytes);
    if (used_.fetch_add(amount, std::memory_order_relaxed) + amount <= limit_) return true;
    Return(bytes);
    return false;
  }
  // Past the limit, for what has to be somewhere.
  void Charge(size_t bytes) {
    used_.fetch_add(static_cast<int64_t>(bytes), std::memory_order_relaxed);
  }
  void Return(size_t bytes) {
    used_.fetch_sub(static_cast<int64_t>(bytes), std::memory_order_relaxed);
  }

  int64_t used() const { return used_.load(std::memory_order_relaxed); }
  int64_t limit() const { return limit_; }

 private:
  const int64_t limit_;
  std::atomic<int64_t> used_{0};
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_HOST_BUDGET_H_
