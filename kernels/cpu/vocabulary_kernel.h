// Passes over a row of logits, for sampling and log-probabilities. Include after a vec_*.h and
// vec_math.h, norm_kernel.h. Internal linkage.
#ifndef SSMD_KERNELS_CPU_VOCABULARY_KERNEL_H_
#define SSMD_KERNELS_CPU_VOCABULARY_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/norm_kernel.h"

namespace ssmd::kernels::cpu {
namespace {

float LargestIfFinite(const float* values, int64_t n) {
  F16 largest = Broadcast(values[0]);
  F16 defect = Broadcast(0);  // v · 0 is 0, or NaN where v is not finite
  for (int64_t i = 0; i < n; i += kLanes) {
    const F16 v = LoadPartial(values + i, n - i, values[0]);
    largest = Max(v, largest);
    defect = Fma(v, Broadcast(0), defect);
  }
  float lanes[kLanes];
  Store(lanes, defect);
  const float sum_of_defects = SumLanes(lanes);
  Store(lanes, largest);
  float result = lanes[0];
  for (float lane : lanes) result = lane > result ? lane : result;
  return result + sum_of_defects;
}

void OffsetDivide(const float* values, int64_t n, float offset, float divisor, float* out) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const F16 v = LoadPartial(values + i, n - i, 0);
    StorePartial(out + i, (v - Broadcast(offset)) / Broadcast(divisor), n - i);
  }
}

void Exponentials(const float* values, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += kLanes) {
    StorePartial(out + i, Exp(LoadPartial(values + i, n - i, 0)), n - i);
  }
}

double SumOfExponentials(const float* values, int64_t n, float offset) {
  D16 sum = ZeroDouble();
  for (int64_t i = 0; i < n; i += kLanes) {
    AddWidened(Exp(LoadPartial(values + i, n - i, -__builtin_inff()) - Broadcast(offset)), sum);
  }
  double lanes[kLanes];
  Store(lanes, sum);
  return SumLanes(lanes);
}

// The first word of Philox4x32-10 for 16 tokens from `first` on (kernels/random.h defines it).
inline W16 FirstWords(const DrawRow& row, int64_t first) {
  W16 c0 = BroadcastWord(static_cast<uint32_t>(row.position));
  W16 c1 = BroadcastWord(static_cast<uint32_t>(row.position >> 32));
  W16 c2 = BroadcastWord(row.choice);
  W16 c3 = CountFrom(static_cast<uint32_t>(first));
  uint32_t key0 = static_cast<uint32_t>(row.seed);
  uint32_t key1 = static_cast<uint32_t>(row.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    W16 high0, low0, high1, low1;
    MultiplyWide(c0, 0xD2511F53, high0, low0);
    MultiplyWide(c2, 0xCD9E8D57, high1, low1);
    c0 = high1 ^ c1 ^ BroadcastWord(key0);
    c1 = low1;
    c2 = high0 ^ c3 ^ BroadcastWord(key1);
    c3 = low0;
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return c0;
}

uint32_t MayBeat(const DrawRow& row, int64_t first, float to_beat) {
  const int64_t n = row.vocabulary - first;
  const F16 never = Broadcast(-__builtin_inff());
  const F16 scores = LoadPartial(row.scores + first, n, -__builtin_inff());
  const uint32_t in_draw = MaskGreater(scores, never);
  if (in_draw == 0) return 0;
  // A Gumbel number −log(−log u) is below −log(1 − u), so a token can win only where 1 − u is below
  // e^(score − to_beat). `room` is a lower bound of 1 − u, and 1% covers all rounding.
  const F16 room = (Broadcast(0x1p24f - 1) - Upper24(FirstWords(row, first))) * Broadcast(0x1p-24f);
  const F16 limit = Exp(scores - Broadcast(to_beat)) * Broadcast(1.01f);
  return in_draw & ~MaskGreater(room, limit);
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_VOCABULARY_KERNEL_H_
