// Inputs for 16-bit multiply-adds, which take a quad as its even and its odd inputs: of dot_avx2.h
// and dot_avx512_madd.h. Internal linkage.
#ifndef SSMD_KERNELS_CPU_DOT_PAIRS_H_
#define SSMD_KERNELS_CPU_DOT_PAIRS_H_

#include <cstdint>

namespace ssmd::kernels::cpu {
namespace {

constexpr int kByteParts = 2;
inline uint32_t WidenPair(uint32_t low, uint32_t high) {
  return (static_cast<uint32_t>(static_cast<int8_t>(low)) & 0xFFFF) |
         static_cast<uint32_t>(static_cast<int8_t>(high)) << 16;
}
inline void ArrangeBytes(uint32_t quad, uint32_t* words) {
  words[0] = WidenPair(quad, quad >> 16);
  words[1] = WidenPair(quad >> 8, quad >> 24);
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_DOT_PAIRS_H_
