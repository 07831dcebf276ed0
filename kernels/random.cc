#include "kernels/random.h"

#include <cstring>

namespace ssmd::kernels {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;  // golden ratio
constexpr uint32_t kWeyl1 = 0xBB67AE85;  // sqrt(3) − 1
constexpr int kRounds = 10;

// ln 2 in two parts; the high one has 20 trailing zero bits, so that its product with an exponent
// is exact.
constexpr double kLn2High = 0x1.62e42fefap-1;
constexpr double kLn2Low = 0x1.cf79abc9e3b3ap-40;

double FromBits(uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

}  // namespace

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t p0 = uint64_t{kMultiplier0} * counter[0];
    const uint64_t p1 = uint64_t{kMultiplier1} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

std::array<uint32_t, 4> DrawWords(const DrawKey& key, int32_t token_id) {
  return Philox4x32({static_cast<uint32_t>(key.position), static_cast<uint32_t>(key.position >> 32),
                     key.choice, static_cast<uint32_t>(token_id)},
                    {static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32)});
}

double Gumbel(const DrawKey& key, int32_t token_id) {
  const std::array<uint32_t, 4> words = DrawWords(key, token_id);
  const uint64_t part = (uint64_t{words[0]} << 32 | words[1]) >> 12;
  // Exact: part + 1/2 takes 53 bits. The ends, 0 and 1, are never reached.
  const double u = (static_cast<double>(part) + 0.5) * 0x1p-52;
  return -Log(-Log(u));
}

double Log(double x) {
  // x = 2^exponent · m with m in [sqrt(1/2), sqrt(2)), by bits: subtracting those of sqrt(1/2)
  // carries into the exponent exactly when the mantissa is at least sqrt(1/2)'s.
  constexpr uint64_t kSqrtHalfBits = 0x3FE6A09E667F3BCD;
  uint64_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  const int64_t exponent = static_cast<int64_t>(bits - kSqrtHalfBits) >> 52;
  const double m = FromBits(bits - (static_cast<uint64_t>(exponent) << 52));

  // log m = 2 atanh(s) with s = (m − 1) / (m + 1): 2s · Σ z^i / (2i + 1) with z = s² <= 0.0295; the
  // first term left out is below 1e-18.
  const double s = (m - 1) / (m + 1);
  const double z = s * s;
  double sum = 1.0 / 23;
  for (int odd = 21; odd >= 3; odd -= 2) sum = sum * z + 1.0 / odd;
  const double e = static_cast<double>(exponent);
  const double two_s = 2 * s;
  return e * kLn2High + (two_s + (two_s * (z * sum) + e * kLn2Low));
}

}  // namespace ssmd::kernels
