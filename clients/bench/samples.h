// Measurements of one kind, in bounded memory: all of them up to a limit, and then an even sample
// of them (Vitter's algorithm R, 1985) beside their exact count, mean and maximum. Not thread-safe.
#ifndef SSMD_CLIENTS_BENCH_SAMPLES_H_
#define SSMD_CLIENTS_BENCH_SAMPLES_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "clients/bench/percentiles.h"

namespace ssmd::bench {

class Samples {
 public:
  static constexpr size_t kKeptMax = size_t{1} << 22;

  explicit Samples(size_t kept_max = kKeptMax) : kept_max_(kept_max) {}

  void Add(double value);
  // Past the limit, what was there first is what is kept.
  void Merge(const Samples& other);

  int64_t count() const { return count_; }
  // In no particular order.
  const std::vector<double>& kept() const { return kept_; }
  Percentiles Summary() const;

 private:
  size_t kept_max_;
  int64_t count_ = 0;
  double sum_ = 0;
  double max_ = 0;
  std::vector<double> kept_;
  std::mt19937_64 random_{1};
};

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_SAMPLES_H_
