// See process_figures.h.
#include "server/telemetry/process_figures.h"

#include <unistd.h>

#include <fstream>

namespace ssmd::server {

int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total_pages = 0;
  int64_t resident_pages = 0;
  if (!(statm >> total_pages >> resident_pages)) return 0;
  return resident_pages * sysconf(_SC_PAGESIZE);
}

}  // namespace ssmd::server
