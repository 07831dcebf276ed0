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

double RoundToMasses(float* values, int64_t n) {
  constexpr float kMassOne = 0x1p38f;  // of ops.h
  // From here on floats are whole numbers, so adding it rounds what is below.
  const F16 whole = Broadcast(0x1p23f);
  D16 sum = ZeroDouble();
  for (int64_t i = 0; i < n; i += kLanes) {
    const F16 v = LoadPartial(values + i, n - i, 0) * Broadcast(kMassOne);
    const F16 nearest = (v + whole) - whole;
    const F16 below = SelectGreater(nearest, v, nearest - Broadcast(1), nearest);
    const F16 mass = SelectGreater(whole, v, below, v);
    AddWidened(mass, sum);
    StorePartial(values + i, mass, n - i);
  }
  double lanes[kLanes];
  Store(lanes, sum);
  return SumLanes(lanes);
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

// The first word of Philox4x32-10 (kernels/random.h defines it) for any token of a row. Token ids
// enter in the third word of the counter's second round, and reach all words in the fourth: what
// is the same for all tokens before that is worked out once.
class FirstWords {
 public:
  explicit FirstWords(const DrawRow& row) {
    uint32_t c0 = static_cast<uint32_t>(row.position);
    uint32_t c2 = row.choice;
    for (int round = 0; round < kRounds; ++round) {
      key0_[round] = static_cast<uint32_t>(row.seed) + static_cast<uint32_t>(round) * 0x9E3779B9;
      key1_[round] =
          static_cast<uint32_t>(row.seed >> 32) + static_cast<uint32_t>(round) * 0xBB67AE85;
    }
    // Round 1: all but what the token id is mixed into.
    uint64_t p0 = uint64_t{kMultiplier0} * c0;
    uint64_t p1 = uint64_t{kMultiplier1} * c2;
    c0 = High(p1) ^ static_cast<uint32_t>(row.position >> 32) ^ key0_[0];
    id_mask_ = High(p0) ^ key1_[0];
    const uint32_t c1 = static_cast<uint32_t>(p1);
    uint32_t c3 = static_cast<uint32_t>(p0);
    // Round 2.
    p0 = uint64_t{kMultiplier0} * c0;
    second_mask_ = c1 ^ key0_[1];
    c2 = High(p0) ^ c3 ^ key1_[1];
    c3 = static_cast<uint32_t>(p0);
    // Round 3.
    p1 = uint64_t{kMultiplier1} * c2;
    third_mask0_ = High(p1) ^ key0_[2];
    third_mask2_ = c3 ^ key1_[2];
    third_c1_ = static_cast<uint32_t>(p1);
  }

  // Of 16 tokens from `first` on.
  W16 Of(int64_t first) const {
    W16 c1, c3, high0, high1;
    // Round 2.
    MultiplyWide(CountFrom(static_cast<uint32_t>(first)) ^ BroadcastWord(id_mask_), kMultiplier1,
                 high1, c1);
    W16 c0 = high1 ^ BroadcastWord(second_mask_);
    // Round 3.
    MultiplyWide(c0, kMultiplier0, high0, c3);
    c0 = c1 ^ BroadcastWord(third_mask0_);
    W16 c2 = high0 ^ BroadcastWord(third_mask2_);
    c1 = BroadcastWord(third_c1_);
#pragma GCC unroll 8
    for (int round = 3; round < kRounds - 1; ++round) {
      W16 low0, low1;
      MultiplyWide(c0, kMultiplier0, high0, low0);
      MultiplyWide(c2, kMultiplier1, high1, low1);
      c0 = high1 ^ (c1 ^ BroadcastWord(key0_[round]));
      c1 = low1;
      c2 = high0 ^ (c3 ^ BroadcastWord(key1_[round]));
      c3 = low0;
    }
    W16 low1;
    MultiplyWide(c2, kMultiplier1, high1, low1);
    return high1 ^ (c1 ^ BroadcastWord(key0_[kRounds - 1]));
  }

 private:
  static constexpr int kRounds = 10;
  static constexpr uint32_t kMultiplier0 = 0xD2511F53;
  static constexpr uint32_t kMultiplier1 = 0xCD9E8D57;

  static uint32_t High(uint64_t product) { return static_cast<uint32_t>(product >> 32); }

  uint32_t key0_[kRounds];
  uint32_t key1_[kRounds];
  uint32_t id_mask_, second_mask_, third_mask0_, third_mask2_, third_c1_;
};

int64_t NextThatMayBeat(const DrawRow& row, int64_t from, float to_beat, uint32_t* tokens) {
  const FirstWords words(row);
  const F16 beaten = Broadcast(to_beat);
  // No Gumbel number exceeds 53 ln 2 = 36.74.
  const F16 least = Broadcast(to_beat - 37.0f);
  for (; from < row.count; from += kLanes) {
    const F16 scores = LoadPartial(row.scores + from, row.count - from, -__builtin_inff());
    const uint32_t in_draw = MaskGreater(scores, least);
    if (in_draw == 0) continue;
    // A Gumbel number −log(−log u) is below −log(1 − u), so a token can win only where 1 − u is
    // below e^(score − to_beat). `room` is a lower bound of 1 − u, and 1% covers all rounding.
    const F16 room =
        (Broadcast(0x1p24f - 1) - Upper24(words.Of(row.first_token + from))) * Broadcast(0x1p-24f);
    const F16 limit = Exp(scores - beaten) * Broadcast(1.01f);
    *tokens = in_draw & ~MaskGreater(room, limit);
    if (*tokens != 0) break;
  }
  return from;
}

int64_t NextAbove(const float* values, int64_t from, int64_t n, float bound, uint32_t* above) {
  for (; from < n; from += kLanes) {
    const F16 v = LoadPartial(values + from, n - from, -__builtin_inff());
    *above = MaskGreater(v, Broadcast(bound));
    if (*above != 0) break;
  }
  return from;
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_VOCABULARY_KERNEL_H_
