// The three loops that a roofline is made of, for the widest instructions that run here.
#ifndef SSMD_TESTS_BENCH_ROOFLINE_LOOPS_H_
#define SSMD_TESTS_BENCH_ROOFLINE_LOOPS_H_

#include <cstdint>

#include "kernels/device.h"

namespace ssmd::bench {

// Reads `words` once, front to back, and returns a digest that keeps the compiler from skipping it.
// REQUIRES: count is a multiple of 64, words are 64-byte aligned.
uint64_t ReadAll(kernels::Isa isa, const uint64_t* words, int64_t count);

// `iterations` rounds of fused multiply-adds in more chains than the units' latency; returns a
// value that depends on all. FlopsPerIteration() operations each, a multiply-add being two.
float MultiplyAdd(kernels::Isa isa, int64_t iterations);
int64_t FlopsPerIteration(kernels::Isa isa);

// The same of exact sums of products of 8-bit integers. OpsPerIntIteration() operations each.
int64_t MultiplyAddInt(kernels::Isa isa, int64_t iterations);
int64_t OpsPerIntIteration(kernels::Isa isa);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_ROOFLINE_LOOPS_H_
