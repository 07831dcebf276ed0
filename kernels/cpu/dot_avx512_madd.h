// dot_scalar.h in AVX-512 without dot-product instructions: dot_avx2.h at twice the width. Include
// after vec_avx512.h. Internal linkage.
#ifndef SSMD_KERNELS_CPU_DOT_AVX512_MADD_H_
#define SSMD_KERNELS_CPU_DOT_AVX512_MADD_H_

#include "kernels/cpu/dot_avx512.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int kByteParts = 2;

// As in dot_avx2.h.
inline void KeepInRegister(__m512i& sum) { __asm__("" : "+v"(sum)); }

template <int kPart>
inline Codes16 LoadBytes(const uint8_t* line) {
  const __m512i codes = _mm512_loadu_si512(line);
  if constexpr (kPart == 1) return {_mm512_srli_epi16(codes, 8)};
  return {_mm512_and_si512(codes, _mm512_set1_epi16(0xFF))};
}
inline void AddByteProducts(Codes16 w, uint32_t word, I16& sum) {
  const __m512i input = _mm512_set1_epi32(static_cast<int>(word));
  sum.v = _mm512_add_epi32(sum.v, _mm512_madd_epi16(w.v, input));
  KeepInRegister(sum.v);
}

struct NibbleSum {
  __m512i v;  // 16 bits each: two for an output
};
inline NibbleSum ZeroNibbleSum() { return {_mm512_setzero_si512()}; }
inline void AddNibbleProducts(Codes16 w, uint32_t word, NibbleSum& sum) {
  const __m512i input = _mm512_set1_epi32(static_cast<int>(word));
  sum.v = _mm512_add_epi16(sum.v, _mm512_maddubs_epi16(w.v, input));
  KeepInRegister(sum.v);
}
inline I16 WidenSum(NibbleSum sum) { return {_mm512_madd_epi16(sum.v, _mm512_set1_epi16(1))}; }

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_DOT_AVX512_MADD_H_
