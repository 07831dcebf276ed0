// See heap_trim.h.
#include "server/heap_trim.h"

#include <malloc.h>

namespace ssmd::server {
namespace {

// Of all arenas, with what has been returned already.
int64_t FreeBytes() { return static_cast<int64_t>(mallinfo2().fordblks); }

}  // namespace

bool HeapTrim::Look() {
  const int64_t free = FreeBytes();
  if (returned_ < 0 || free < returned_) returned_ = free;
  if (free < returned_ + kBytes) return false;
  malloc_trim(0);
  returned_ = FreeBytes();
  return true;
}

}  // namespace ssmd::server
