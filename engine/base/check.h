// Ends the process at a bug of our own: where going on could serve one session's state to another.
// What comes from outside is answered with a status instead.
#ifndef SSMD_ENGINE_BASE_CHECK_H_
#define SSMD_ENGINE_BASE_CHECK_H_

#include <cstdio>
#include <cstdlib>

namespace ssmd {

// `what` says who found what: "StatePool: a stale slot".
inline void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

}  // namespace ssmd

#endif  // SSMD_ENGINE_BASE_CHECK_H_
