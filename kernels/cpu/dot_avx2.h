// dot_scalar.h in AVX2. Include after vec_avx2.h. Internal linkage.
//
// q8: the 8-bit multiply-add would saturate, so codes are widened to 16 bits: the even inputs of a
// quad by a mask, the odd ones by a shift, and inputs come in two words to match. q4: the sums of a
// group's codes with one quad after the other stay within 8 · 2 · 15 · 127 = 30,480, so they are
// kept in 16 bits until the group ends.
#ifndef SSMD_KERNELS_CPU_DOT_AVX2_H_
#define SSMD_KERNELS_CPU_DOT_AVX2_H_

#include <immintrin.h>

#include <cstdint>

namespace ssmd::kernels::cpu {
namespace {

// 12 sums, 2 registers of codes, an input and a product.
constexpr int kDotRows = 6;
constexpr int kDotPanels = 1;
constexpr int kByteParts = 2;

// Holds the compiler to adding product by product: it would otherwise multiply for several sums
// first, and send sums to memory for want of registers.
inline void KeepInRegister(__m256i& sum) { __asm__("" : "+x"(sum)); }

struct I16 {
  __m256i lo, hi;
};
inline I16 BroadcastInt(int32_t x) {
  const __m256i v = _mm256_set1_epi32(x);
  return {v, v};
}
inline F16 ToFloat(I16 a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }

inline F16 LoadHalves(const void* p) {
  const auto* halves = static_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
}

struct Codes16 {
  __m256i lo, hi;
};
inline Codes16 LoadLine(const uint8_t* line) {
  const auto* codes = reinterpret_cast<const __m256i*>(line);
  return {_mm256_loadu_si256(codes), _mm256_loadu_si256(codes + 1)};
}
template <int kPart>
inline Codes16 LoadBytes(const uint8_t* line) {
  const Codes16 codes = LoadLine(line);
  if constexpr (kPart == 1) {
    return {_mm256_srli_epi16(codes.lo, 8), _mm256_srli_epi16(codes.hi, 8)};
  }
  const __m256i even = _mm256_set1_epi16(0xFF);
  return {_mm256_and_si256(codes.lo, even), _mm256_and_si256(codes.hi, even)};
}
inline void AddByteProducts(Codes16 w, uint32_t word, I16& sum) {
  const __m256i input = _mm256_set1_epi32(static_cast<int>(word));
  sum.lo = _mm256_add_epi32(sum.lo, _mm256_madd_epi16(w.lo, input));
  sum.hi = _mm256_add_epi32(sum.hi, _mm256_madd_epi16(w.hi, input));
  KeepInRegister(sum.lo);
  KeepInRegister(sum.hi);
}

template <int kHalf>
inline Codes16 LoadNibbles(const uint8_t* line) {
  Codes16 codes = LoadLine(line);
  if constexpr (kHalf == 1) {
    codes = {_mm256_srli_epi16(codes.lo, 4), _mm256_srli_epi16(codes.hi, 4)};
  }
  const __m256i nibble = _mm256_set1_epi8(0xF);
  return {_mm256_and_si256(codes.lo, nibble), _mm256_and_si256(codes.hi, nibble)};
}
struct NibbleSum {
  __m256i lo, hi;  // 16 bits each: two for an output
};
inline NibbleSum ZeroNibbleSum() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
inline void AddNibbleProducts(Codes16 w, uint32_t word, NibbleSum& sum) {
  const __m256i input = _mm256_set1_epi32(static_cast<int>(word));
  sum.lo = _mm256_add_epi16(sum.lo, _mm256_maddubs_epi16(w.lo, input));
  sum.hi = _mm256_add_epi16(sum.hi, _mm256_maddubs_epi16(w.hi, input));
  KeepInRegister(sum.lo);
  KeepInRegister(sum.hi);
}
inline I16 WidenSum(NibbleSum sum) {
  const __m256i one = _mm256_set1_epi16(1);
  return {_mm256_madd_epi16(sum.lo, one), _mm256_madd_epi16(sum.hi, one)};
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_DOT_AVX2_H_
