// What a scrape and GetStats say of the process itself.
#ifndef SSMD_SERVER_TELEMETRY_PROCESS_FIGURES_H_
#define SSMD_SERVER_TELEMETRY_PROCESS_FIGURES_H_

#include <cstdint>

namespace ssmd::server {

struct ProcessFigures {
  bool ready = false;  // takes new turns, as /readyz says
  bool draining = false;
  bool device_failed = false;
  int64_t resident_bytes = 0;
};

// Memory of this process that is in RAM; 0 where the system does not tell.
int64_t ResidentBytes();

}  // namespace ssmd::server

#endif  // SSMD_SERVER_TELEMETRY_PROCESS_FIGURES_H_
