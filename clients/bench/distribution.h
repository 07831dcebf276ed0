// Random lengths and times as a flag names them:
//
//   512                     always that
//   uniform:100:500         any from 100 to 500, each as likely
//   lognormal:300:0.8       the median and the standard deviation of the logarithm: many short ones
//                           and a few long ones, as prompts and answers of chats are
//   exponential:5           the mean: times between things that come independently
//
// Immutable, thread-safe. The same generator gives the same values with every library: what the
// standard leaves open (std::lognormal_distribution and others) is not used.
#ifndef SSMD_CLIENTS_BENCH_DISTRIBUTION_H_
#define SSMD_CLIENTS_BENCH_DISTRIBUTION_H_

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "clients/cpp/error.h"

namespace ssmd::bench {

using Random = std::mt19937_64;

// Even in (0, 1].
double DrawUnit(Random* random);
// Of that mean.
double DrawExponential(double mean, Random* random);

class Distribution {
 public:
  // Always `value`.
  explicit Distribution(double value = 0) : first_(value) {}
  // INVALID_ARGUMENT, with a sentence for people, where the text is none of the above.
  static client::Result<Distribution> Parse(std::string_view text);

  // What is below or above the limits is moved to them.
  double Draw(Random* random, double min, double max) const;
  // Rounded to a whole number.
  int64_t DrawCount(Random* random, int64_t min, int64_t max) const;

  // Whether it is the same value always, and which.
  bool is_fixed() const { return kind_ == Kind::kFixed; }
  double fixed() const { return first_; }

 private:
  enum class Kind { kFixed, kUniform, kLognormal, kExponential };
  Kind kind_ = Kind::kFixed;
  double first_ = 0;   // the value, the least, the median or the mean
  double second_ = 0;  // the most, or sigma
};

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_DISTRIBUTION_H_
