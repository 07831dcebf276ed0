// What dot_avx512_madd.h and dot_avx512_vnni.h have in common. Internal linkage.
#ifndef SSMD_KERNELS_CPU_DOT_AVX512_H_
#define SSMD_KERNELS_CPU_DOT_AVX512_H_

#include <immintrin.h>

#include <cstdint>

namespace ssmd::kernels::cpu {
namespace {

// Up to 24 sums, 2 registers of codes, an input and a mask.
constexpr int kDotRows = 12;
constexpr int kDotPanels = 2;

struct I16 {
  __m512i v;
};
inline I16 BroadcastInt(int32_t x) { return {_mm512_set1_epi32(x)}; }
inline F16 ToFloat(I16 a) { return {_mm512_cvtepi32_ps(a.v)}; }

inline F16 LoadHalves(const void* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)))};
}

struct Codes16 {
  __m512i v;
};
template <int kHalf>
inline Codes16 LoadNibbles(const uint8_t* line) {
  __m512i codes = _mm512_loadu_si512(line);
  if constexpr (kHalf == 1) codes = _mm512_srli_epi16(codes, 4);
  return {_mm512_and_si512(codes, _mm512_set1_epi8(0xF))};
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_DOT_AVX512_H_
