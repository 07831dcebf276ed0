// Gives back to the system what a burst left in the heap: the C library keeps what was freed, and
// after some gigabytes of hostile headers (which gRPC holds until their connection ends) that is
// all of them.
//
// Not thread-safe; malloc is, and is held up on one arena at a time while its pages are returned.
#ifndef SSMD_SERVER_HEAP_TRIM_H_
#define SSMD_SERVER_HEAP_TRIM_H_

#include <cstdint>

namespace ssmd::server {

class HeapTrim {
 public:
  // This much more than there was after the last time has to be free to be worth it: a daemon that
  // is busy in the usual way never pays.
  static constexpr int64_t kBytes = int64_t{32} << 20;

  // To be called every few seconds. True when pages were returned.
  bool Look();

 private:
  int64_t returned_ = -1;  // free bytes whose pages the system may have, at most
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HEAP_TRIM_H_
