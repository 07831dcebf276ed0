// A timeline whose clock stands until what is due next is due.
#ifndef SSMD_TESTS_UNIT_CLIENTS_FAKE_TIMELINE_H_
#define SSMD_TESTS_UNIT_CLIENTS_FAKE_TIMELINE_H_

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "clients/bench/timeline.h"

namespace ssmd::bench {

class FakeTimeline final : public Timeline {
 public:
  TimePoint Now() const override { return now_; }
  void At(TimePoint time, std::function<void()> action) override {
    actions_.emplace(std::max(time, now_), std::move(action));
  }

  // Until nothing is left to happen, or `end` (in seconds since the start) has come.
  void Run(double end = 1e6) {
    while (!actions_.empty() && actions_.begin()->first <= TimePoint() + DurationOf(end)) {
      const auto next = actions_.begin();
      now_ = next->first;
      const auto action = std::move(next->second);
      actions_.erase(next);
      action();
    }
  }
  double seconds() const { return SecondsOf(now_ - TimePoint()); }

 private:
  TimePoint now_;
  std::multimap<TimePoint, std::function<void()>> actions_;
};

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_UNIT_CLIENTS_FAKE_TIMELINE_H_
