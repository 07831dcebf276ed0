// A named place where something can go wrong that a test cannot bring about at will: memory that is
// not there, a write, a sync or a call of a GPU that fails. The code asks its point, a test says
// which hit of it is the one that fails (tests/support/faults.h, the only one who can: nothing that
// ships arms a point, and no flag or variable of the environment does).
//
//     FaultPoint write_fault("file.write", FaultPoint::Kind::kWrite);  // at namespace scope
//     if (write_fault.Hit(ENOSPC)) return -1;
//
// An object at namespace scope and no macro: it registers itself before main, so that a test knows
// every point that is linked in, met or not, and a debugger and a reader see what is called. While
// no test watches, Hit() is one relaxed load of a flag that nobody writes and a branch that is
// predicted, beside a system call or an allocation: it stays in release builds, which are what is
// tested.
//
// Thread-safe, but for its making.
#ifndef SSMD_KERNELS_FAULT_POINT_H_
#define SSMD_KERNELS_FAULT_POINT_H_

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <string_view>

namespace ssmd::testing {
class Faults;
}

namespace ssmd::kernels {

class FaultPoint {
 public:
  enum class Kind : uint8_t { kAllocation, kOpen, kRead, kWrite, kSync, kName, kNetwork, kGpu };

  // `name` is a literal, and no other point's.
  FaultPoint(const char* name, Kind kind) noexcept : name_(name), kind_(kind), next_(newest_) {
    newest_ = this;
  }
  FaultPoint(const FaultPoint&) = delete;
  FaultPoint& operator=(const FaultPoint&) = delete;

  std::string_view name() const { return name_; }
  Kind kind() const { return kind_; }

  // Whether what follows is to fail.
  bool Hit() { return watched_.load(std::memory_order_relaxed) && Reached(); }
  // Likewise, as a system call fails.
  bool Hit(int error) {
    if (!Hit()) return false;
    errno = error;
    return true;
  }

 private:
  friend class ssmd::testing::Faults;

  bool Reached() {
    const int64_t hit = hits_.fetch_add(1) + 1;
    return hit >= first_.load() && hit <= last_.load();
  }

  static inline std::atomic<bool> watched_{false};
  static inline FaultPoint* newest_ = nullptr;

  const char* const name_;
  const Kind kind_;
  FaultPoint* const next_;
  std::atomic<int64_t> hits_{0};  // while watched
  // The hits that fail.
  std::atomic<int64_t> first_{std::numeric_limits<int64_t>::max()};
  std::atomic<int64_t> last_{0};
};

}  // namespace ssmd::kernels

#endif  // SSMD_KERNELS_FAULT_POINT_H_
