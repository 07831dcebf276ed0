#ifndef SSMD_TESTS_BENCH_SECONDS_H_
#define SSMD_TESTS_BENCH_SECONDS_H_

#include <chrono>

namespace ssmd::bench {

// Since some moment: for differences.
inline double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_SECONDS_H_
