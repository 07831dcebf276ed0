// So many of something a second, and some at once: a bucket that fills steadily and that takings
// empty. It may be taken from below zero, and then has to fill up again first.
#ifndef SSMD_SERVER_ACCESS_TOKEN_BUCKET_H_
#define SSMD_SERVER_ACCESS_TOKEN_BUCKET_H_

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/base/clock.h"

namespace ssmd::server {

// Not thread-safe.
class TokenBucket {
 public:
  // What it holds may be changed at any time: how much at most, and how much comes a second.
  // REQUIRES: both > 0.
  void Set(double capacity, double per_second, TimePoint now) {
    const bool first = capacity_ == 0;
    Fill(now);
    capacity_ = capacity;
    per_second_ = per_second;
    level_ = first ? capacity : std::min(level_, capacity);
  }
  // Whether it holds so much. What is missing by rounding is not missing.
  bool Has(double amount, TimePoint now) {
    Fill(now);
    return level_ >= amount - 1e-9 * (1 + amount);
  }
  // Below zero, too.
  void Take(double amount, TimePoint now) {
    Fill(now);
    level_ -= amount;
  }
  // Until it holds `amount`.
  std::chrono::milliseconds Until(double amount, TimePoint now) {
    Fill(now);
    const double missing = std::max(0.0, amount - level_);
    constexpr double kLongest = 1e12;  // ms: what a rate of almost nothing would overflow
    const double ms = std::ceil(missing / per_second_ * 1000);
    return std::chrono::milliseconds(static_cast<int64_t>(std::min(ms, kLongest)));
  }

 private:
  void Fill(TimePoint now) {
    if (now > filled_at_)
      level_ = std::min(capacity_, level_ + per_second_ * Seconds(now - filled_at_));
    filled_at_ = std::max(filled_at_, now);
  }

  double capacity_ = 0;  // until Set
  double per_second_ = 0;
  double level_ = 0;
  TimePoint filled_at_{};
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_ACCESS_TOKEN_BUCKET_H_
