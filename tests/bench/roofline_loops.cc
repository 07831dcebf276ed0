#include "tests/bench/roofline_loops.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ssmd::bench {
namespace {

using kernels::Isa;

// More than latency (4 or 5) × units (2), within 16 registers.
constexpr int kChains = 12;
// The same of integer multiply and add, whose product needs a register of its own.
constexpr int kIntChains = 8;
// Close to 1 and to 0, so that the sums stay normal numbers.
constexpr float kFactor = 0.999f;
constexpr float kTerm = 1e-3f;

// Where chain j starts. Equal chains would be merged into one by the compiler.
float Start(int j) { return 1.0f + static_cast<float>(j); }

uint64_t ReadScalar(const uint64_t* words, int64_t count) {
  uint64_t digest[8] = {};
  for (int64_t i = 0; i < count; i += 8) {
    for (int j = 0; j < 8; ++j) digest[j] ^= words[i + j];
  }
  uint64_t all = 0;
  for (uint64_t part : digest) all ^= part;
  return all;
}

// Plain multiply and add: what a CPU without FMA does.
float MultiplyAddScalar(int64_t iterations) {
  float sums[kChains][4];
  for (int j = 0; j < kChains; ++j) {
    for (int lane = 0; lane < 4; ++lane) sums[j][lane] = Start(j);
  }
  for (int64_t i = 0; i < iterations; ++i) {
    for (auto& chain : sums) {
      for (float& sum : chain) sum = sum * kFactor + kTerm;
    }
  }
  float total = 0;
  for (auto& chain : sums) total += chain[0] + chain[1] + chain[2] + chain[3];
  return total;
}

int64_t MultiplyAddIntScalar(int64_t iterations) {
  uint32_t sums[kIntChains];
  for (int j = 0; j < kIntChains; ++j) sums[j] = static_cast<uint32_t>(j + 1);
  for (int64_t i = 0; i < iterations; ++i) {
    for (uint32_t& sum : sums) sum += sum * 3;
  }
  int64_t total = 0;
  for (const uint32_t sum : sums) total += sum;
  return total;
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) uint64_t ReadAvx2(const uint64_t* words, int64_t count) {
  const auto* p = reinterpret_cast<const __m256i*>(words);
  __m256i digest[8] = {};
  for (int64_t i = 0; i < count / 4; i += 8) {
    for (int j = 0; j < 8; ++j)
      digest[j] = _mm256_xor_si256(digest[j], _mm256_load_si256(p + i + j));
  }
  uint64_t all = 0;
  for (const __m256i& part : digest) {
    alignas(32) uint64_t lanes[4];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), part);
    all ^= lanes[0] ^ lanes[1] ^ lanes[2] ^ lanes[3];
  }
  return all;
}

__attribute__((target("avx512f"))) uint64_t ReadAvx512(const uint64_t* words, int64_t count) {
  __m512i digest[8] = {};
  for (int64_t i = 0; i < count; i += 64) {
    for (int j = 0; j < 8; ++j) {
      digest[j] = _mm512_xor_si512(digest[j], _mm512_load_si512(words + i + 8 * j));
    }
  }
  uint64_t all = 0;
  for (const __m512i& part : digest) {
    alignas(64) uint64_t lanes[8];
    _mm512_store_si512(lanes, part);
    for (uint64_t lane : lanes) all ^= lane;
  }
  return all;
}

__attribute__((target("avx2,fma"))) float MultiplyAddAvx2(int64_t iterations) {
  const __m256 factor = _mm256_set1_ps(kFactor);
  const __m256 term = _mm256_set1_ps(kTerm);
  __m256 sums[kChains];
  for (int j = 0; j < kChains; ++j) sums[j] = _mm256_set1_ps(Start(j));
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j) sums[j] = _mm256_fmadd_ps(sums[j], factor, term);
  }
  float total = 0;
  for (const __m256& sum : sums) total += _mm256_cvtss_f32(sum);
  return total;
}

__attribute__((target("avx512f"))) float MultiplyAddAvx512(int64_t iterations) {
  const __m512 factor = _mm512_set1_ps(kFactor);
  const __m512 term = _mm512_set1_ps(kTerm);
  __m512 sums[kChains];
  for (int j = 0; j < kChains; ++j) sums[j] = _mm512_set1_ps(Start(j));
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j) sums[j] = _mm512_fmadd_ps(sums[j], factor, term);
  }
  float total = 0;
  for (const __m512& sum : sums) total += _mm512_cvtss_f32(sum);
  return total;
}

// 16-bit multiply-adds, as 8-bit ones would saturate: what exact products of 8-bit numbers cost
// here.
__attribute__((target("avx2"))) int64_t MultiplyAddIntAvx2(int64_t iterations) {
  const __m256i factor = _mm256_set1_epi16(3);
  __m256i sums[kIntChains];
  for (int j = 0; j < kIntChains; ++j) sums[j] = _mm256_set1_epi32(j + 1);
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kIntChains; ++j) {
      sums[j] = _mm256_add_epi32(sums[j], _mm256_madd_epi16(sums[j], factor));
    }
  }
  int64_t total = 0;
#pragma GCC unroll 8
  for (int j = 0; j < kIntChains; ++j) total += _mm256_cvtsi256_si32(sums[j]);
  return total;
}

__attribute__((target("avx512f,avx512bw"))) int64_t MultiplyAddIntAvx512(int64_t iterations) {
  const __m512i factor = _mm512_set1_epi16(3);
  __m512i sums[kIntChains];
  for (int j = 0; j < kIntChains; ++j) sums[j] = _mm512_set1_epi32(j + 1);
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kIntChains; ++j) {
      sums[j] = _mm512_add_epi32(sums[j], _mm512_madd_epi16(sums[j], factor));
    }
  }
  int64_t total = 0;
#pragma GCC unroll 8
  for (int j = 0; j < kIntChains; ++j) total += _mm512_cvtsi512_si32(sums[j]);
  return total;
}

__attribute__((target("avx512f,avx512vnni"))) int64_t MultiplyAddIntVnni(int64_t iterations) {
  const __m512i codes = _mm512_set1_epi8(5);
  const __m512i inputs = _mm512_set1_epi8(-3);
  __m512i sums[kIntChains];
  for (int j = 0; j < kIntChains; ++j) sums[j] = _mm512_set1_epi32(j + 1);
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kIntChains; ++j) sums[j] = _mm512_dpbusd_epi32(sums[j], codes, inputs);
  }
  int64_t total = 0;
#pragma GCC unroll 8
  for (int j = 0; j < kIntChains; ++j) total += _mm512_cvtsi512_si32(sums[j]);
  return total;
}

#endif

bool IsWide(Isa isa) { return isa == Isa::kAvx512 || isa == Isa::kAvx512Vnni; }

}  // namespace

uint64_t ReadAll(Isa isa, const uint64_t* words, int64_t count) {
#if defined(__x86_64__)
  if (IsWide(isa)) return ReadAvx512(words, count);
  if (isa == Isa::kAvx2) return ReadAvx2(words, count);
#else
  static_cast<void>(isa);
#endif
  return ReadScalar(words, count);
}

float MultiplyAdd(Isa isa, int64_t iterations) {
#if defined(__x86_64__)
  if (IsWide(isa)) return MultiplyAddAvx512(iterations);
  if (isa == Isa::kAvx2) return MultiplyAddAvx2(iterations);
#else
  static_cast<void>(isa);
#endif
  return MultiplyAddScalar(iterations);
}

int64_t FlopsPerIteration(Isa isa) {
  const int lanes = IsWide(isa) ? 16 : isa == Isa::kAvx2 ? 8 : 4;
  return int64_t{2} * kChains * lanes;
}

int64_t MultiplyAddInt(Isa isa, int64_t iterations) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512Vnni) return MultiplyAddIntVnni(iterations);
  if (isa == Isa::kAvx512) return MultiplyAddIntAvx512(iterations);
  if (isa == Isa::kAvx2) return MultiplyAddIntAvx2(iterations);
#endif
  return MultiplyAddIntScalar(iterations);
}

int64_t OpsPerIntIteration(Isa isa) {
  if (isa == Isa::kAvx512Vnni) return int64_t{2} * kIntChains * 64;
  const int products = isa == Isa::kAvx512 ? 32 : isa == Isa::kAvx2 ? 16 : 1;
  return int64_t{2} * kIntChains * products;
}

}  // namespace ssmd::bench
