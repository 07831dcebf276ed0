// The random numbers of sampling on a GPU: kernels/random.h's, bit for bit. The logarithm is made
// of IEEE's basic operations in double, in the order of random.cc, and nothing is contracted.
#ifndef SSMD_KERNELS_CUDA_RANDOM_H_
#define SSMD_KERNELS_CUDA_RANDOM_H_

#include <cstdint>

#include "kernels/cuda/simt.h"
#include "kernels/random.h"

namespace ssmd::kernels::cuda {

// The words of Philox4x32-10 that a draw is made of.
struct PhiloxWords {
  uint32_t word[4];
};

SIMT_DEVICE PhiloxWords Philox4x32(PhiloxWords counter, uint32_t key0, uint32_t key1) {
  constexpr uint32_t kMultiplier0 = 0xD2511F53;
  constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9;
  constexpr uint32_t kWeyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const uint32_t c0 = counter.word[0];
    const uint32_t c2 = counter.word[2];
    counter = {{MultiplyHigh(kMultiplier1, c2) ^ counter.word[1] ^ key0, kMultiplier1 * c2,
                MultiplyHigh(kMultiplier0, c0) ^ counter.word[3] ^ key1, kMultiplier0 * c0}};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return counter;
}

SIMT_DEVICE PhiloxWords WordsOf(const DrawKey& key, int32_t token_id) {
  return Philox4x32(
      {{static_cast<uint32_t>(key.position), static_cast<uint32_t>(key.position >> 32), key.choice,
        static_cast<uint32_t>(token_id)}},
      static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32));
}

// Natural logarithm of a positive normal number.
SIMT_DEVICE double Log(double x) {
  constexpr uint64_t kSqrtHalfBits = 0x3FE6A09E667F3BCD;
  constexpr double kLn2High = 0x1.62e42fefap-1;
  constexpr double kLn2Low = 0x1.cf79abc9e3b3ap-40;
  const uint64_t bits = BitsOf(x);
  const int64_t exponent = static_cast<int64_t>(bits - kSqrtHalfBits) >> 52;
  const double m = DoubleOf(bits - (static_cast<uint64_t>(exponent) << 52));

  const double s = (m - 1) / (m + 1);
  const double z = s * s;
  double sum = 1.0 / 23;
  for (int odd = 21; odd >= 3; odd -= 2) sum = sum * z + 1.0 / odd;
  const double e = static_cast<double>(exponent);
  const double two_s = 2 * s;
  return e * kLn2High + (two_s + (two_s * (z * sum) + e * kLn2Low));
}

// The Gumbel number of a token with those words.
SIMT_DEVICE double GumbelOf(const PhiloxWords& words) {
  const uint64_t part = (uint64_t{words.word[0]} << 32 | words.word[1]) >> 12;
  const double u = (static_cast<double>(part) + 0.5) * 0x1p-52;
  return -Log(-Log(u));
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_RANDOM_H_
