// The random numbers of sampling: a function of (seed, choice, position, token id) and of nothing
// else, so a resumed or migrated stream draws what it would have drawn, on any device and any CPU.
//
// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") with the seed
// as key and (position, choice, token id) as counter. Pure functions, usable from any thread.
// Compiled once, without wide instructions (kernels/README.md): no inline code.
#ifndef SSMD_KERNELS_RANDOM_H_
#define SSMD_KERNELS_RANDOM_H_

#include <array>
#include <cstdint>

namespace ssmd::kernels {

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// What a draw depends on beside the token.
struct DrawKey {
  uint64_t seed = 0;
  uint32_t choice = 0;
  uint64_t position = 0;
};

// The words that a token's draw is made of: key = (seed low, high), counter = (position low, high,
// choice, token id).
std::array<uint32_t, 4> DrawWords(const DrawKey& key, int32_t token_id);

// A standard Gumbel number of a token: −log(−log u), where u in (0, 1) is the middle of one of 2^52
// equal parts, chosen by the first word (high 32 bits) and the second (low 20 bits, its upper
// ones).
double Gumbel(const DrawKey& key, int32_t token_id);

// Natural logarithm of a positive normal number by IEEE basic operations alone: the same bits on
// every machine, within 2 ulp. Not libm's, which picks its code by CPU.
double Log(double x);

}  // namespace ssmd::kernels

#endif  // SSMD_KERNELS_RANDOM_H_
