// The compiler must neither move products out of a loop whose operands do not change, nor merge
// chains: an empty assembler statement that claims to change an operand says that each product is
// of new values, and costs no instruction.
#include "tests/bench/roofline_loops.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ssmd::bench {
namespace {

using kernels::Isa;

// More than latency (4 or 5) × units (2), and what is left of 16 registers holds two operands and a
// product.
constexpr int kChains = 12;
// Close to 1 and to 0, so that the sums stay normal numbers.
constexpr float kFactor = 0.999f;
constexpr float kTerm = 1e-3f;

// Where chain j starts. Equal chains would be merged into one by the compiler.
float Start(int j) { return 1.0f + static_cast<float>(j); }

constexpr int kReadStreams = 4;
constexpr int64_t kPrefetchBytes = 2048;  // ahead

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
double FmaScalar(int64_t iterations) {
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

double Int8Scalar(int64_t iterations) {
  uint32_t sums[kChains];
  for (int j = 0; j < kChains; ++j) sums[j] = static_cast<uint32_t>(j + 1);
  uint32_t factor = 3;
  for (int64_t i = 0; i < iterations; ++i) {
    for (uint32_t& sum : sums) {
      asm("" : "+r"(factor));
      sum += factor * 5;
    }
  }
  double total = 0;
  for (const uint32_t sum : sums) total += sum;
  return total;
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) uint64_t ReadAvx2(const uint64_t* words, int64_t count) {
  const int64_t part = count / kReadStreams;
  __m256i digest[8] = {};
  for (int64_t i = 0; i < part; i += 32) {
    for (int stream = 0; stream < kReadStreams; ++stream) {
      const uint64_t* p = words + stream * part + i;
      for (int line = 0; line < 4; ++line) {
        __builtin_prefetch(reinterpret_cast<const char*>(p + 8 * line) + kPrefetchBytes);
      }
      for (int j = 0; j < 8; ++j) {
        digest[j] = _mm256_xor_si256(
            digest[j], _mm256_load_si256(reinterpret_cast<const __m256i*>(p + 4 * j)));
      }
    }
  }
  uint64_t all = 0;
  for (const __m256i& each : digest) {
    alignas(32) uint64_t lanes[4];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), each);
    all ^= lanes[0] ^ lanes[1] ^ lanes[2] ^ lanes[3];
  }
  return all;
}

__attribute__((target("avx512f"))) uint64_t ReadAvx512(const uint64_t* words, int64_t count) {
  const int64_t part = count / kReadStreams;
  __m512i digest[4] = {};
  for (int64_t i = 0; i < part; i += 32) {
    for (int stream = 0; stream < kReadStreams; ++stream) {
      const uint64_t* p = words + stream * part + i;
      for (int j = 0; j < 4; ++j) {
        __builtin_prefetch(reinterpret_cast<const char*>(p + 8 * j) + kPrefetchBytes);
        digest[j] = _mm512_xor_si512(digest[j], _mm512_load_si512(p + 8 * j));
      }
    }
  }
  uint64_t all = 0;
  for (const __m512i& each : digest) {
    alignas(64) uint64_t lanes[8];
    _mm512_store_si512(lanes, each);
    for (uint64_t lane : lanes) all ^= lane;
  }
  return all;
}

__attribute__((target("avx2,fma"))) double FmaAvx2(int64_t iterations) {
  const __m256 factor = _mm256_set1_ps(kFactor);
  const __m256 term = _mm256_set1_ps(kTerm);
  __m256 sums[kChains];
  for (int j = 0; j < kChains; ++j) sums[j] = _mm256_set1_ps(Start(j));
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j) sums[j] = _mm256_fmadd_ps(sums[j], factor, term);
  }
  double total = 0;
  for (const __m256& sum : sums) total += _mm256_cvtss_f32(sum);
  return total;
}

__attribute__((target("avx512f"))) double FmaAvx512(int64_t iterations) {
  const __m512 factor = _mm512_set1_ps(kFactor);
  const __m512 term = _mm512_set1_ps(kTerm);
  __m512 sums[kChains];
  for (int j = 0; j < kChains; ++j) sums[j] = _mm512_set1_ps(Start(j));
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j) sums[j] = _mm512_fmadd_ps(sums[j], factor, term);
  }
  double total = 0;
  for (const __m512& sum : sums) total += _mm512_cvtss_f32(sum);
  return total;
}

__attribute__((target("avx512f,avx512bf16"))) double Bf16DotAvx512(int64_t iterations) {
  const auto left = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3F80));   // 1
  const auto right = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3A80));  // about 0.001
  __m512 sums[kChains];
  for (int j = 0; j < kChains; ++j) sums[j] = _mm512_set1_ps(Start(j));
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j) sums[j] = _mm512_dpbf16_ps(sums[j], left, right);
  }
  double total = 0;
  for (const __m512& sum : sums) total += _mm512_cvtss_f32(sum);
  return total;
}

// 16-bit multiply-adds, as 8-bit ones would saturate: what exact products of 8-bit numbers cost
// here.
__attribute__((target("avx2"))) double Int8Avx2(int64_t iterations) {
  __m256i left = _mm256_set1_epi16(3);
  const __m256i right = _mm256_set1_epi16(5);
  __m256i sums[kChains];
  for (int j = 0; j < kChains; ++j) sums[j] = _mm256_set1_epi32(j + 1);
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j) {
      asm("" : "+x"(left));
      sums[j] = _mm256_add_epi32(sums[j], _mm256_madd_epi16(left, right));
    }
  }
  double total = 0;
#pragma GCC unroll 12
  for (int j = 0; j < kChains; ++j) total += _mm256_cvtsi256_si32(sums[j]);
  return total;
}

__attribute__((target("avx512f,avx512bw"))) double Int8Avx512(int64_t iterations) {
  __m512i left = _mm512_set1_epi16(3);
  const __m512i right = _mm512_set1_epi16(5);
  __m512i sums[kChains];
  for (int j = 0; j < kChains; ++j) sums[j] = _mm512_set1_epi32(j + 1);
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j) {
      asm("" : "+v"(left));
      sums[j] = _mm512_add_epi32(sums[j], _mm512_madd_epi16(left, right));
    }
  }
  double total = 0;
#pragma GCC unroll 12
  for (int j = 0; j < kChains; ++j) total += _mm512_cvtsi512_si32(sums[j]);
  return total;
}

__attribute__((target("avx512f,avx512vnni"))) double Int8Vnni(int64_t iterations) {
  const __m512i codes = _mm512_set1_epi8(5);
  const __m512i inputs = _mm512_set1_epi8(-3);
  __m512i sums[kChains];
  for (int j = 0; j < kChains; ++j) sums[j] = _mm512_set1_epi32(j + 1);
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j) sums[j] = _mm512_dpbusd_epi32(sums[j], codes, inputs);
  }
  double total = 0;
#pragma GCC unroll 12
  for (int j = 0; j < kChains; ++j) total += _mm512_cvtsi512_si32(sums[j]);
  return total;
}

__attribute__((target("avx2"))) double Int4Avx2(int64_t iterations) {
  __m256i codes = _mm256_set1_epi8(5);
  const __m256i inputs = _mm256_set1_epi8(-3);
  __m256i sums[kChains];
  for (int j = 0; j < kChains; ++j) sums[j] = _mm256_set1_epi16(static_cast<int16_t>(j + 1));
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j) {
      asm("" : "+x"(codes));
      sums[j] = _mm256_add_epi16(sums[j], _mm256_maddubs_epi16(codes, inputs));
    }
  }
  double total = 0;
#pragma GCC unroll 12
  for (int j = 0; j < kChains; ++j) total += _mm256_cvtsi256_si32(sums[j]);
  return total;
}

__attribute__((target("avx512f,avx512bw"))) double Int4Avx512(int64_t iterations) {
  __m512i codes = _mm512_set1_epi8(5);
  const __m512i inputs = _mm512_set1_epi8(-3);
  __m512i sums[kChains];
  for (int j = 0; j < kChains; ++j) sums[j] = _mm512_set1_epi16(static_cast<int16_t>(j + 1));
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j) {
      asm("" : "+v"(codes));
      sums[j] = _mm512_add_epi16(sums[j], _mm512_maddubs_epi16(codes, inputs));
    }
  }
  double total = 0;
#pragma GCC unroll 12
  for (int j = 0; j < kChains; ++j) total += _mm512_cvtsi512_si32(sums[j]);
  return total;
}

#endif

bool HasVnni(Isa isa) { return isa == Isa::kAvx512Vnni || isa == Isa::kAvx512Bf16; }
bool IsWide(Isa isa) { return isa == Isa::kAvx512 || HasVnni(isa); }

// A loop, and the multiply-adds of one step of a chain.
struct Loop {
  double (*run)(int64_t iterations);
  int products;
};

Loop LoopOf(Arithmetic arithmetic, Isa isa) {
  const bool is_integer = arithmetic == Arithmetic::kInt8 || arithmetic == Arithmetic::kInt4;
#if defined(__x86_64__)
  if (HasVnni(isa) && is_integer) return {Int8Vnni, 64};
  if (arithmetic == Arithmetic::kBf16 && HasBf16Dot(isa)) return {Bf16DotAvx512, 32};
  if (IsWide(isa) || isa == Isa::kAvx2) {
    if (arithmetic == Arithmetic::kInt8)
      return IsWide(isa) ? Loop{Int8Avx512, 32} : Loop{Int8Avx2, 16};
    if (arithmetic == Arithmetic::kInt4)
      return IsWide(isa) ? Loop{Int4Avx512, 64} : Loop{Int4Avx2, 32};
    return IsWide(isa) ? Loop{FmaAvx512, 16} : Loop{FmaAvx2, 8};
  }
#else
  static_cast<void>(isa);
#endif
  return is_integer ? Loop{Int8Scalar, 1} : Loop{FmaScalar, 4};
}

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

bool HasBf16Dot(Isa isa) { return isa == Isa::kAvx512Bf16; }

double MultiplyAdd(Arithmetic arithmetic, Isa isa, int64_t iterations) {
  return LoopOf(arithmetic, isa).run(iterations);
}

int64_t OpsPerIteration(Arithmetic arithmetic, Isa isa) {
  return int64_t{2} * kChains * LoopOf(arithmetic, isa).products;
}

}  // namespace ssmd::bench
