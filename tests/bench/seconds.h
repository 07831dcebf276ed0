// Clocks, for differences.
#ifndef SSMD_TESTS_BENCH_SECONDS_H_
#define SSMD_TESTS_BENCH_SECONDS_H_

#include <sys/types.h>
#include <time.h>

#include <chrono>

namespace ssmd::bench {

// Since some moment.
inline double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// That all threads of a process have computed, this one where it is 0. 0 where there is no such
// process.
inline double CpuSeconds(pid_t process = 0) {
  clockid_t clock;
  timespec passed = {};
  if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &passed) != 0) return 0;
  return static_cast<double>(passed.tv_sec) + 1e-9 * static_cast<double>(passed.tv_nsec);
}

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_SECONDS_H_
