// How many snapshots may be on their way in or out at once. Each holds a whole state in memory, and
// for as long as its peer takes.
#ifndef SSMD_SERVER_ACCESS_TRANSFERS_H_
#define SSMD_SERVER_ACCESS_TRANSFERS_H_

#include <utility>

#include "absl/status/statusor.h"
#include "engine/base/mutex.h"

namespace ssmd::server {

// Thread-safe. Outlives its tickets.
class Transfers {
 public:
  explicit Transfers(int most) : most_(most) {}

  // Held for as long as the transfer lives. Empty when moved from.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept : transfers_(std::exchange(other.transfers_, nullptr)) {}
    Ticket& operator=(Ticket&& other) noexcept {
      std::swap(transfers_, other.transfers_);
      return *this;
    }
    ~Ticket() {
      if (transfers_ != nullptr) transfers_->Leave();
    }

   private:
    friend class Transfers;
    explicit Ticket(Transfers* transfers) : transfers_(transfers) {}
    Transfers* transfers_ = nullptr;
  };

  // RESOURCE_EXHAUSTED with a retry delay past the limit.
  absl::StatusOr<Ticket> Enter();

 private:
  void Leave();

  const int most_;
  Mutex mutex_;
  int active_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_ACCESS_TRANSFERS_H_
