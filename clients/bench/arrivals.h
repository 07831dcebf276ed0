// When the requests (or conversations) of an open loop start, as offsets from the load's start. Not
// thread-safe.
#ifndef SSMD_CLIENTS_BENCH_ARRIVALS_H_
#define SSMD_CLIENTS_BENCH_ARRIVALS_H_

#include <cstdint>

#include "clients/bench/distribution.h"
#include "clients/bench/timeline.h"

namespace ssmd::bench {

class Arrivals {
 public:
  enum class Kind {
    kFixed,    // evenly spaced, the first at once
    kPoisson,  // independent of each other: exponential times between them
  };

  // `rate` a second, above 0. The same seed gives the same arrivals.
  Arrivals(Kind kind, double rate, uint64_t seed) : kind_(kind), rate_(rate), random_(seed) {}

  Duration Next() {
    if (kind_ == Kind::kFixed) return DurationOf(static_cast<double>(count_++) / rate_);
    last_ += DrawExponential(1 / rate_, &random_);
    return DurationOf(last_);
  }

 private:
  const Kind kind_;
  const double rate_;
  Random random_;
  int64_t count_ = 0;
  double last_ = 0;
};

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_ARRIVALS_H_
