// See transfers.h.
#include "server/access/transfers.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"

namespace ssmd::server {
namespace {

constexpr std::chrono::milliseconds kRetryTransferDelay(1000);

}  // namespace

absl::StatusOr<Transfers::Ticket> Transfers::Enter() {
  MutexLock lock(&mutex_);
  if (active_ >= most_) {
    return WithRetryAfter(
        WithReason(absl::ResourceExhaustedError(absl::StrCat(
                       "the server's limit of ", most_,
                       " exports and imports at once (--max-transfers) is reached; try again "
                       "later")),
                   "TOO_MANY_TRANSFERS"),
        kRetryTransferDelay);
  }
  ++active_;
  return Ticket(this);
}

void Transfers::Leave() {
  MutexLock lock(&mutex_);
  --active_;
}

}  // namespace ssmd::server
