// How many generation calls may be in the house at once: in all, and of one tenant. The engine
// queues and sheds by slots; this bounds what the server itself holds for calls, and counts them
// for the drain.
#ifndef SSMD_SERVER_ACCESS_ADMISSION_H_
#define SSMD_SERVER_ACCESS_ADMISSION_H_

#include <map>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/base/clock.h"
#include "engine/base/mutex.h"

namespace ssmd::server {

// Thread-safe. Outlives its tickets.
class Admission {
 public:
  Admission(int requests_max, int tenant_requests_max)
      : requests_max_(requests_max), tenant_requests_max_(tenant_requests_max) {}

  // Held for as long as the call lives. Empty when moved from.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept
        : admission_(std::exchange(other.admission_, nullptr)), tenant_(std::move(other.tenant_)) {}
    Ticket& operator=(Ticket&& other) noexcept {
      std::swap(admission_, other.admission_);
      std::swap(tenant_, other.tenant_);
      return *this;
    }
    ~Ticket() {
      if (admission_ != nullptr) admission_->Leave(tenant_);
    }

   private:
    friend class Admission;
    Ticket(Admission* admission, std::string tenant)
        : admission_(admission), tenant_(std::move(tenant)) {}
    Admission* admission_ = nullptr;
    std::string tenant_;
  };

  // RESOURCE_EXHAUSTED with a retry delay past either limit.
  absl::StatusOr<Ticket> Enter(const std::string& tenant);
  int active() const;
  // Waits until no ticket is held; false when `deadline` passed first.
  bool WaitIdle(TimePoint deadline);
  // Waits until nobody has asked for one for `quiet`; false when `deadline` passed first.
  bool WaitQuiet(Duration quiet, TimePoint deadline);

 private:
  void Leave(const std::string& tenant);

  const int requests_max_;
  const int tenant_requests_max_;
  mutable Mutex mutex_;
  CondVar left_;
  TimePoint asked_ ABSL_GUARDED_BY(mutex_){};  // for a ticket, last
  int active_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, int> tenants_ ABSL_GUARDED_BY(mutex_);  // only those with active calls
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_ACCESS_ADMISSION_H_
