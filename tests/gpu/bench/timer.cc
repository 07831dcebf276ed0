#include "tests/gpu/bench/timer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

namespace ssmd::gpu_bench {
namespace {

constexpr int kMostRepeats = 10000;
constexpr int kFewestRuns = 3;

}  // namespace

Spread SpreadOf(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {values[(values.size() - 1) / 2], values.front(), values.back(),
          static_cast<int>(values.size())};
}

Spread Rate(double amount, const Spread& time) {
  if (time.lowest <= 0) return {};
  return {amount / time.median, amount / time.highest, amount / time.lowest, time.runs};
}

Spread Timer::Measure(const std::function<double(int)>& take) const {
  take(1);  // the first one loads code
  const double once = std::max(take(1), 1e-6);
  const int repeats =
      static_cast<int>(std::clamp(std::ceil(options_.run_ms / once), 1.0, 1.0 * kMostRepeats));
  const double possible = options_.together_ms / (once * repeats);
  const int runs = static_cast<int>(
      std::clamp(possible, 1.0 * std::min(kFewestRuns, options_.runs), 1.0 * options_.runs));
  if (repeats > 1) take(repeats);
  std::vector<double> times;
  times.reserve(static_cast<size_t>(runs));
  for (int run = 0; run < runs; ++run) times.push_back(take(repeats) / repeats);
  return SpreadOf(std::move(times));
}

Spread Timer::OnGpu(const std::function<void()>& enqueue) const {
  return Measure([&](int repeats) {
    const auto start = stream_.RecordTime();
    for (int i = 0; i < repeats; ++i) enqueue();
    const auto end = stream_.RecordTime();
    return end->MillisecondsSince(*start);
  });
}

Spread Timer::OnHost(const std::function<void()>& run) const {
  using Clock = std::chrono::steady_clock;
  return Measure([&](int repeats) {
    stream_.Synchronize();
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < repeats; ++i) run();
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  });
}

}  // namespace ssmd::gpu_bench
