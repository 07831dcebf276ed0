// Sixteen f32 lanes as two AVX2 registers, with FMA. vec_scalar.h says what each function means.
//
// Included by kernels_avx2.cc alone. Internal linkage throughout (kernels/README.md).
#ifndef SSMD_KERNELS_CPU_VEC_AVX2_H_
#define SSMD_KERNELS_CPU_VEC_AVX2_H_

#include <immintrin.h>

#include <cstdint>

namespace ssmd::kernels::cpu {
namespace {

constexpr int kLanes = 16;

// 16 registers: 12 accumulators, 2 of weights and a broadcast input. A low tile has 8 accumulators,
// which is what two units with a latency of 4 want.
constexpr int kTileRows = 6, kTilePanels = 1;
constexpr int kLowTileRows = 2, kLowTilePanels = 2;

struct F16 {
  __m256 lo, hi;
};
struct W16 {
  __m256i lo, hi;
};
struct D16 {
  __m256d part[4];
};
constexpr int kDoubleLanes = 8;
struct D8 {
  __m256d lo, hi;
};

inline F16 Load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void Store(float* p, F16 v) {
  _mm256_storeu_ps(p, v.lo);
  _mm256_storeu_ps(p + 8, v.hi);
}
inline F16 Broadcast(float x) {
  const __m256 v = _mm256_set1_ps(x);
  return {v, v};
}
inline void Prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

inline F16 operator+(F16 a, F16 b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
inline F16 operator-(F16 a, F16 b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
inline F16 operator*(F16 a, F16 b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
inline F16 operator/(F16 a, F16 b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
inline F16 Fma(F16 a, F16 b, F16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
inline F16 NegatedFma(F16 a, F16 b, F16 c) {
  return {_mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi)};
}
inline F16 Max(F16 a, F16 b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
inline F16 Abs(F16 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
inline F16 SelectGreater(F16 a, F16 b, F16 yes, F16 no) {
  return {_mm256_blendv_ps(no.lo, yes.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_GT_OQ)),
          _mm256_blendv_ps(no.hi, yes.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_GT_OQ))};
}
inline uint32_t MaskGreater(F16 a, F16 b) {
  const int lo = _mm256_movemask_ps(_mm256_cmp_ps(a.lo, b.lo, _CMP_GT_OQ));
  const int hi = _mm256_movemask_ps(_mm256_cmp_ps(a.hi, b.hi, _CMP_GT_OQ));
  return static_cast<uint32_t>(lo | hi << 8);
}
inline F16 SwapPairs(F16 a) {
  return {_mm256_permute_ps(a.lo, 0xB1), _mm256_permute_ps(a.hi, 0xB1)};
}
inline F16 ShiftToExponent(F16 a) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a.lo), 23)),
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a.hi), 23))};
}

template <bool kHigh>
inline __m256 WidenBf16(const uint16_t* words) {
  const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
  const __m256i high = _mm256_set1_epi32(static_cast<int>(0xFFFF0000));
  return _mm256_castsi256_ps(kHigh ? _mm256_and_si256(pairs, high) : _mm256_slli_epi32(pairs, 16));
}
template <bool kHigh>
inline F16 LoadBf16(const uint16_t* line) {
  return {WidenBf16<kHigh>(line), WidenBf16<kHigh>(line + 16)};
}

inline D16 ZeroDouble() {
  const __m256d zero = _mm256_setzero_pd();
  return {{zero, zero, zero, zero}};
}
inline void AddWidened(F16 v, D16& sum) {
  sum.part[0] = _mm256_add_pd(sum.part[0], _mm256_cvtps_pd(_mm256_castps256_ps128(v.lo)));
  sum.part[1] = _mm256_add_pd(sum.part[1], _mm256_cvtps_pd(_mm256_extractf128_ps(v.lo, 1)));
  sum.part[2] = _mm256_add_pd(sum.part[2], _mm256_cvtps_pd(_mm256_castps256_ps128(v.hi)));
  sum.part[3] = _mm256_add_pd(sum.part[3], _mm256_cvtps_pd(_mm256_extractf128_ps(v.hi, 1)));
}
inline void Store(double* p, const D16& v) {
  for (int i = 0; i < 4; ++i) _mm256_storeu_pd(p + 4 * i, v.part[i]);
}

inline D8 Load(const double* p) { return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)}; }
inline void Store(double* p, D8 v) {
  _mm256_storeu_pd(p, v.lo);
  _mm256_storeu_pd(p + 4, v.hi);
}
inline D8 BroadcastDouble(double x) {
  const __m256d v = _mm256_set1_pd(x);
  return {v, v};
}
inline D8 LoadWidened(const float* p) {
  return {_mm256_cvtps_pd(_mm_loadu_ps(p)), _mm256_cvtps_pd(_mm_loadu_ps(p + 4))};
}
inline void StoreNarrowed(float* p, D8 v) {
  _mm_storeu_ps(p, _mm256_cvtpd_ps(v.lo));
  _mm_storeu_ps(p + 4, _mm256_cvtpd_ps(v.hi));
}
inline D8 operator*(D8 a, D8 b) { return {_mm256_mul_pd(a.lo, b.lo), _mm256_mul_pd(a.hi, b.hi)}; }
inline D8 Fma(D8 a, D8 b, D8 c) {
  return {_mm256_fmadd_pd(a.lo, b.lo, c.lo), _mm256_fmadd_pd(a.hi, b.hi, c.hi)};
}
inline D8 NegatedFma(D8 a, D8 b, D8 c) {
  return {_mm256_fnmadd_pd(a.lo, b.lo, c.lo), _mm256_fnmadd_pd(a.hi, b.hi, c.hi)};
}

inline W16 BroadcastWord(uint32_t x) {
  const __m256i v = _mm256_set1_epi32(static_cast<int>(x));
  return {v, v};
}
inline W16 CountFrom(uint32_t first) {
  const __m256i start = _mm256_set1_epi32(static_cast<int>(first));
  return {_mm256_add_epi32(start, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)),
          _mm256_add_epi32(start, _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15))};
}
inline W16 operator^(W16 a, W16 b) {
  return {_mm256_xor_si256(a.lo, b.lo), _mm256_xor_si256(a.hi, b.hi)};
}
inline void MultiplyWide(__m256i a, __m256i b, __m256i& high, __m256i& low) {
  const __m256i even = _mm256_mul_epu32(a, b);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), b);
  low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
  high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
}
inline void MultiplyWide(W16 a, uint32_t b, W16& high, W16& low) {
  const __m256i factor = _mm256_set1_epi32(static_cast<int>(b));
  MultiplyWide(a.lo, factor, high.lo, low.lo);
  MultiplyWide(a.hi, factor, high.hi, low.hi);
}
inline W16 operator+(W16 a, W16 b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
inline W16 operator&(W16 a, W16 b) {
  return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)};
}
inline W16 operator|(W16 a, W16 b) {
  return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)};
}
template <int kBits>
inline W16 ShiftRight(W16 a) {
  return {_mm256_srli_epi32(a.lo, kBits), _mm256_srli_epi32(a.hi, kBits)};
}
inline W16 Multiply(W16 a, uint32_t b) {
  const __m256i factor = _mm256_set1_epi32(static_cast<int>(b));
  return {_mm256_mullo_epi32(a.lo, factor), _mm256_mullo_epi32(a.hi, factor)};
}
inline W16 Min(W16 a, W16 b) {
  return {_mm256_min_epu32(a.lo, b.lo), _mm256_min_epu32(a.hi, b.hi)};
}
inline W16 BitsOf(F16 a) { return {_mm256_castps_si256(a.lo), _mm256_castps_si256(a.hi)}; }
inline F16 FromBits(W16 a) { return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)}; }
inline F16 ToFloat(W16 a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
inline F16 Floor(F16 a) { return {_mm256_floor_ps(a.lo), _mm256_floor_ps(a.hi)}; }

inline __m128i LoadEight(const uint16_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
inline F16 LoadBf16Line(const uint16_t* p) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(LoadEight(p)), 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(LoadEight(p + 8)), 16))};
}
inline void StoreBf16Line(uint16_t* p, F16 v) {
  const __m256i lo = _mm256_srli_epi32(_mm256_castps_si256(v.lo), 16);
  const __m256i hi = _mm256_srli_epi32(_mm256_castps_si256(v.hi), 16);
  // Packs 128-bit halves: lo's and hi's first, then their second ones.
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(lo, hi), 0xD8);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), packed);
}
inline F16 LoadHalfLine(const uint16_t* p) {
  return {_mm256_cvtph_ps(LoadEight(p)), _mm256_cvtph_ps(LoadEight(p + 8))};
}
inline void StoreHalfLine(uint16_t* p, F16 v) {
  auto* words = reinterpret_cast<__m128i*>(p);
  _mm_storeu_si128(words, _mm256_cvtps_ph(v.lo, _MM_FROUND_TO_ZERO));
  _mm_storeu_si128(words + 1, _mm256_cvtps_ph(v.hi, _MM_FROUND_TO_ZERO));
}
inline F16 Upper24(W16 a) {
  return {_mm256_cvtepi32_ps(_mm256_srli_epi32(a.lo, 8)),
          _mm256_cvtepi32_ps(_mm256_srli_epi32(a.hi, 8))};
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_VEC_AVX2_H_
