// Products of int8 inputs with the codes of sixteen outputs in plain C++: what dot_avx2.h and the
// like do in registers, and the definition of it. All sums are exact, so only the order in which
// codes lie differs between instruction sets.
//
// A word holds the four inputs of a quad, int8 each, the first in the low byte; or, where q8 is
// multiplied in 16 bits (kByteParts is 2), the first and third as int16, and another word the
// second and fourth. Include after vec_scalar.h. Internal linkage.
#ifndef SSMD_KERNELS_CPU_DOT_SCALAR_H_
#define SSMD_KERNELS_CPU_DOT_SCALAR_H_

#include <cstdint>
#include <cstring>

#include "kernels/number_format.h"

namespace ssmd::kernels::cpu {
namespace {

// Shape of a tile: rows × panels of 16 outputs.
constexpr int kDotRows = 2;
constexpr int kDotPanels = 1;

// Parts in which a line of q8 codes is taken: a word of inputs for each.
constexpr int kByteParts = 1;

// Sixteen int32 sums.
struct I16 {
  int32_t lane[kLanes];
};
inline I16 BroadcastInt(int32_t x) {
  I16 out;
  for (int32_t& lane : out.lane) lane = x;
  return out;
}
inline F16 ToFloat(const I16& a) {
  return EachLane([&](int i) { return static_cast<float>(a.lane[i]); });
}

// Sixteen f16.
inline F16 LoadHalves(const void* p) {
  uint16_t halves[kLanes];
  std::memcpy(halves, p, sizeof(halves));
  return EachLane([&](int i) { return WidenF16(halves[i]); });
}

// The codes of 16 outputs × 4 inputs.
struct Codes16 {
  uint8_t code[4 * kLanes];
};
template <int kPart>
Codes16 LoadBytes(const uint8_t* line) {
  Codes16 codes;
  std::memcpy(codes.code, line, sizeof(codes.code));
  return codes;
}
inline void AddByteProducts(const Codes16& w, uint32_t word, I16& sum) {
  for (int i = 0; i < kLanes; ++i) {
    for (int k = 0; k < 4; ++k) {
      const auto input = static_cast<int8_t>(word >> (8 * k));
      sum.lane[i] += w.code[4 * i + k] * input;
    }
  }
}

// The same of the low (0) or high (1) halves of the bytes.
template <int kHalf>
Codes16 LoadNibbles(const uint8_t* line) {
  Codes16 codes;
  for (int i = 0; i < 4 * kLanes; ++i) codes.code[i] = line[i] >> (4 * kHalf) & 0xF;
  return codes;
}
using NibbleSum = I16;
inline NibbleSum ZeroNibbleSum() { return BroadcastInt(0); }
inline void AddNibbleProducts(const Codes16& w, uint32_t word, NibbleSum& sum) {
  AddByteProducts(w, word, sum);
}
inline I16 WidenSum(const NibbleSum& sum) { return sum; }

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_DOT_SCALAR_H_
