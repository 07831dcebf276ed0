#include "engine/base/secure_random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_format.h"

namespace ssmd {

uint64_t SecureRandom64() {
  uint64_t value = 0;
  // Eight bytes are never cut short once the source is seeded; what remains is being interrupted
  // while it is not. A kernel without the call cannot run us at all.
  while (getrandom(&value, sizeof(value), 0) != static_cast<ssize_t>(sizeof(value))) {
    if (errno != EINTR) std::abort();
  }
  return value;
}

std::string SecureRandomId() {
  return absl::StrFormat("%016x%016x", SecureRandom64(), SecureRandom64());
}

}  // namespace ssmd
