// Products of bf16 in AVX-512 BF16, whose instruction multiplies two pairs and adds both products.
// Include after vec_avx512.h. Internal linkage.
//
// What VDPBF16PS does to a lane (Intel SDM; it heeds no mode of the thread): sum = fma(a₁, b₁,
// sum), then sum = fma(a₀, b₀, sum), the pair's second element first; each rounds to nearest even,
// takes denormals for zero and gives zero for them. VCVTNE2PS2BF16 rounds to nearest even, and
// denormals to zero.
#ifndef SSMD_KERNELS_CPU_DOT_AVX512_BF16_H_
#define SSMD_KERNELS_CPU_DOT_AVX512_BF16_H_

#include <immintrin.h>

#include <cstdint>

namespace ssmd::kernels::cpu {
namespace {

struct Pairs16 {
  __m512bh v;
};

// A line of weights (pack.h): a pair of each of 16 outputs.
inline Pairs16 LoadPairs(const uint16_t* line) {
  return {reinterpret_cast<__m512bh>(_mm512_loadu_si512(line))};
}
inline Pairs16 BroadcastPair(uint32_t pair) {
  return {reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(pair)))};
}
inline void AddPairProducts(Pairs16 a, Pairs16 b, F16& sum) {
  sum.v = _mm512_dpbf16_ps(sum.v, a.v, b.v);
}
// 32 inputs in 16 words.
inline void RoundToPairs(F16 first, F16 second, uint32_t* pairs) {
  _mm512_storeu_si512(pairs, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second.v, first.v)));
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_DOT_AVX512_BF16_H_
