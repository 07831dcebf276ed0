// Who was turned away: a line in the log and a count for every credential that was refused, with
// the peer's address, what was called and why, and nothing of the credential itself.
//
// The log gets some lines a second; of the others it says how many there were, so that a flood
// neither fills a disk nor hides that it was there. The counts have all of them.
#ifndef SSMD_SERVER_ACCESS_REFUSAL_AUDIT_H_
#define SSMD_SERVER_ACCESS_REFUSAL_AUDIT_H_

#include <string_view>

#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "server/access/tenants.h"
#include "server/access/token_bucket.h"

namespace ssmd::server {

class Log;
class Metrics;

// Thread-safe.
class RefusalAudit {
 public:
  static constexpr double kLinesPerSecond = 5;
  static constexpr double kLinesAtOnce = 50;

  // All outlive this.
  RefusalAudit(Log* log, Metrics* metrics, const Clock* clock);

  // `peer` is an address, `what` a method or a route; `tenant` is empty where it is not known.
  void Refused(std::string_view peer, std::string_view what, CredentialFault why,
               std::string_view tenant);
  // To be called now and then: says how many lines were left out since it was said last.
  void Tick();

 private:
  Log* const log_;
  Metrics* const metrics_;
  const Clock* const clock_;
  Mutex mutex_;
  TokenBucket lines_ ABSL_GUARDED_BY(mutex_);
  int64_t left_out_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_ACCESS_REFUSAL_AUDIT_H_
