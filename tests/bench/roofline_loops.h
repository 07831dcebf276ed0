// The loops that a roofline is made of, for the widest instructions that run here: each is bound by
// what it is named for and by nothing else.
#ifndef SSMD_TESTS_BENCH_ROOFLINE_LOOPS_H_
#define SSMD_TESTS_BENCH_ROOFLINE_LOOPS_H_

#include <cstdint>

#include "kernels/device.h"

namespace ssmd::bench {

// Reads `words` once, as four streams side by side (one alone does not keep memory busy), and
// returns a digest that keeps the compiler from skipping it. REQUIRES: count is a multiple of
// kReadUnit, words are 64-byte aligned.
uint64_t ReadAll(kernels::Isa isa, const uint64_t* words, int64_t count);
inline constexpr int64_t kReadUnit = 128;

// Multiply-adds, by what is multiplied. Sums of integers are exact.
enum class Arithmetic : uint8_t {
  kFma,   // f32
  kBf16,  // dot products of bf16, where HasBf16Dot; elsewhere widened to f32, so kFma's loop
  kInt8,  // in sums of 32 bits
  kInt4,  // unsigned 4 bits by signed 8, in sums of 16 bits where that is quicker
};
bool HasBf16Dot(kernels::Isa isa);

// `iterations` rounds of multiply-adds in more chains than the units' latency; returns a value that
// depends on all. OpsPerIteration() operations each, a multiply-add being two.
double MultiplyAdd(Arithmetic arithmetic, kernels::Isa isa, int64_t iterations);
int64_t OpsPerIteration(Arithmetic arithmetic, kernels::Isa isa);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_ROOFLINE_LOOPS_H_
