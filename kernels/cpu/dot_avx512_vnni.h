// dot_scalar.h in AVX-512 VNNI, whose instruction multiplies and adds four unsigned codes with four
// signed inputs. Include after vec_avx512.h. Internal linkage.
#ifndef SSMD_KERNELS_CPU_DOT_AVX512_VNNI_H_
#define SSMD_KERNELS_CPU_DOT_AVX512_VNNI_H_

#include "kernels/cpu/dot_avx512.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int kByteParts = 1;

template <int kPart>
inline Codes16 LoadBytes(const uint8_t* line) {
  return {_mm512_loadu_si512(line)};
}
inline void AddByteProducts(Codes16 w, uint32_t word, I16& sum) {
  sum.v = _mm512_dpbusd_epi32(sum.v, w.v, _mm512_set1_epi32(static_cast<int>(word)));
}

using NibbleSum = I16;
inline NibbleSum ZeroNibbleSum() { return BroadcastInt(0); }
inline void AddNibbleProducts(Codes16 w, uint32_t word, NibbleSum& sum) {
  AddByteProducts(w, word, sum);
}
inline I16 WidenSum(NibbleSum sum) { return sum; }

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_DOT_AVX512_VNNI_H_
