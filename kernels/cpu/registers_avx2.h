// The lanes of one AVX2 register: what a kernel takes at a time that wants more numbers at hand
// than 16 registers have room for in sixteen lanes each. `registers_whole.h` is its like.
//
// Include after vec_avx2.h. Internal linkage.
#ifndef SSMD_KERNELS_CPU_REGISTERS_AVX2_H_
#define SSMD_KERNELS_CPU_REGISTERS_AVX2_H_

#include "kernels/cpu/vec_avx2.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int kRegisterLanes = 8;
constexpr int kRegisters = kLanes / kRegisterLanes;
struct Register {
  __m256 v;
};

inline Register LoadRegister(const float* p) { return {_mm256_loadu_ps(p)}; }
inline void Store(float* p, Register a) { _mm256_storeu_ps(p, a.v); }
inline Register BroadcastRegister(float x) { return {_mm256_set1_ps(x)}; }
inline Register operator+(Register a, Register b) { return {_mm256_add_ps(a.v, b.v)}; }
inline Register Fma(Register a, Register b, Register c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline Register NegatedFma(Register a, Register b, Register c) {
  return {_mm256_fnmadd_ps(a.v, b.v, c.v)};
}

// What was loaded and is used more than once: GCC would rather load it again at each use, and loads
// are what such loops have least of.
inline Register Keep(Register a) {
  asm("" : "+x"(a.v));
  return a;
}

inline Register RegisterOf(F16 v, int i) { return {i == 0 ? v.lo : v.hi}; }
inline F16 Join(const Register (&v)[kRegisters]) { return {v[0].v, v[1].v}; }

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_REGISTERS_AVX2_H_
