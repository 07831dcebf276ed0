// Clocks, for differences.
#ifndef SSMD_TESTS_BENCH_SECONDS_H_
#define SSMD_TESTS_BENCH_SECONDS_H_

#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>

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

// That whoever runs on this machine has computed, and what its host kept from it, by ticks of some
// milliseconds. 0 where the system does not say.
inline double CpuSecondsOfAll() {
  std::ifstream file("/proc/stat");
  std::string name;
  double user = 0, nice = 0, system = 0, idle = 0, waiting = 0, irq = 0, soft_irq = 0, stolen = 0;
  file >> name >> user >> nice >> system >> idle >> waiting >> irq >> soft_irq >> stolen;
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  return (user + nice + system + irq + soft_irq + stolen) / ticks;
}

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_SECONDS_H_
