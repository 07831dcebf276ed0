// This program has no randomness but that of the seed: counted_ids.cc takes the place of
// engine/base/secure_random.cc in the link, and ids and seeds are counted.
#ifndef SSMD_TESTS_SIM_COUNTED_IDS_H_
#define SSMD_TESTS_SIM_COUNTED_IDS_H_

#include <cstdint>

namespace ssmd::sim {

// The ids from here on are those of this seed.
void StartIds(uint64_t seed);

}  // namespace ssmd::sim

#endif  // SSMD_TESTS_SIM_COUNTED_IDS_H_
