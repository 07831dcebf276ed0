#include "tests/sim/counted_ids.h"

#include <atomic>

#include "absl/strings/str_format.h"
#include "engine/base/secure_random.h"
#include "tests/unit/schedule/fake_model.h"

namespace ssmd {
namespace {

// Engines with threads of their own ask, too.
std::atomic<uint64_t> id_seed = 0;
std::atomic<uint64_t> ids = 0;

}  // namespace

void sim::StartIds(uint64_t seed) {
  id_seed = seed;
  ids = 0;
}

uint64_t SecureRandom64() { return testing::Mix(id_seed, ++ids); }

std::string SecureRandomId() {
  return absl::StrFormat("%016x%016x", SecureRandom64(), SecureRandom64());
}

}  // namespace ssmd
