// See heap_trim.h.
#include "server/heap_trim.h"

#include <malloc.h>

#include <algorithm>

#include "server/telemetry/process_figures.h"

namespace ssmd::server {

bool HeapTrim::Look() {
  const int64_t resident = ResidentBytes();
  if (resident_ < 0 || resident < resident_) resident_ = resident;
  if (resident < resident_ + kBytes) return false;
  // What is free counts here also where its pages are returned already: hence the look at what is
  // resident.
  if (static_cast<int64_t>(mallinfo2().fordblks) < kBytes) return false;
  malloc_trim(0);
  resident_ = ResidentBytes();
  return true;
}

}  // namespace ssmd::server
