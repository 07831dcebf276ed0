// How much a tenant may ask for in a time: calls a second, and tokens a minute.
//
// Calls are counted as they come: one second's worth (at least one) may come at once. Tokens, read
// and generated, are known when a request ends and are counted then; a tenant that has used up its
// minute begins nothing more until the minute's rate has made up for it. What is under way goes on,
// so that a minute may have more, by what ran at once, and the next ones then have less.
#ifndef SSMD_SERVER_ACCESS_TENANT_RATES_H_
#define SSMD_SERVER_ACCESS_TENANT_RATES_H_

#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "server/access/tenants.h"
#include "server/access/token_bucket.h"

namespace ssmd::server {

// Thread-safe. Remembers each tenant that had a limit when it called: as many as the token file
// named.
class TenantRates {
 public:
  struct Defaults {  // of tenants for which the token file says nothing; 0: no limit
    double rate = 0;
    double tokens_per_minute = 0;
  };
  // `clock` outlives this.
  TenantRates(Defaults defaults, const Clock* clock) : defaults_(defaults), clock_(clock) {}

  // One call. RESOURCE_EXHAUSTED says when to try again.
  absl::Status TakeCall(const Caller& caller);
  // Before anything is computed for a caller. RESOURCE_EXHAUSTED says when to try again.
  absl::Status CheckTokens(const Caller& caller);
  // What a request came to.
  void CountTokens(const std::string& tenant, int64_t tokens);

 private:
  const Defaults defaults_;
  const Clock* const clock_;
  Mutex mutex_;
  std::map<std::string, TokenBucket> calls_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, TokenBucket> tokens_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_ACCESS_TENANT_RATES_H_
