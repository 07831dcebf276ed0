// Numbers of sampling and log-probabilities on a GPU (ops.h defines them): masses, and the keys by
// which logits and scores are ordered. And what a block does with a row of logits: walk it, and
// find the largest of what its threads have.
#ifndef SSMD_KERNELS_CUDA_DRAW_MATH_H_
#define SSMD_KERNELS_CUDA_DRAW_MATH_H_

#include <cstdint>

#include "kernels/cuda/math.h"
#include "kernels/cuda/simt.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda {

// The mass of a token whose e^score is given: a whole number.
SIMT_DEVICE uint64_t MassOf(float exponential) {
  return static_cast<uint64_t>(exponential * static_cast<float>(kMassOne));
}

SIMT_DEVICE bool IsFinite(float x) { return (BitsOf(x) & 0x7F800000) != 0x7F800000; }

// Scores are <= 0, so their magnitudes order them: the largest has the smallest key.
SIMT_DEVICE uint32_t ScoreKey(float score) { return BitsOf(score) & 0x7FFFFFFF; }
SIMT_DEVICE float ScoreOf(uint32_t key) { return FloatOf(key | 0x80000000); }
SIMT_DEVICE uint64_t MassOfKey(uint32_t key) { return MassOf(Exp(ScoreOf(key))); }

// The mass that top_p wants, of `total`: their product, rounded up, and at least 1.
SIMT_DEVICE uint64_t WantedMass(float top_p, uint64_t total) {
  const double product = static_cast<double>(top_p) * static_cast<double>(total);
  auto whole = static_cast<uint64_t>(product);
  if (static_cast<double>(whole) < product) ++whole;
  return whole == 0 ? 1 : whole;
}

// Orders finite numbers as `<` does: both zeros have the same key, and so have denormals. Never 0.
SIMT_DEVICE uint32_t OrderedKey(float x) {
  const uint32_t bits = BitsOf(x + 0.0f);
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000;
}
SIMT_DEVICE float NumberOfKey(uint32_t key) {
  return FloatOf(key >> 31 != 0 ? key & 0x7FFFFFFF : ~key);
}
SIMT_DEVICE uint64_t OrderedKey(double x) {
  const uint64_t bits = BitsOf(x);
  return bits >> 63 != 0 ? ~bits : bits | uint64_t{1} << 63;
}

// A logit and its token: the largest logit is the largest of these, ties going to the lowest id.
SIMT_DEVICE uint64_t PlaceOf(float logit, int32_t token_id) {
  return uint64_t{OrderedKey(logit)} << 32 | ~static_cast<uint32_t>(token_id);
}
// Larger than any: the place of a logit that is not finite.
inline constexpr uint64_t kDefectPlace = ~uint64_t{0};
SIMT_DEVICE float LogitOf(uint64_t place) {
  return NumberOfKey(static_cast<uint32_t>(place >> 32));
}
SIMT_DEVICE int32_t TokenOf(uint64_t place) {
  return static_cast<int32_t>(~static_cast<uint32_t>(place));
}

SIMT_DEVICE uint64_t LargerOf(uint64_t a, uint64_t b) { return a > b ? a : b; }

// The largest that any thread of the block has, for all of them.
struct BlockMaxShared {
  uint64_t of_warp[kWarpThreads];
};
SIMT_DEVICE uint64_t BlockMax(const Block& block, BlockMaxShared& shared, uint64_t mine) {
  for (int mask = kWarpThreads / 2; mask > 0; mask /= 2) {
    mine = LargerOf(mine, block.ShuffleXor(mine, mask));
  }
  if (block.lane() == 0) shared.of_warp[block.warp()] = mine;
  block.Sync();
  for (int warp = 0; warp < block.threads() / kWarpThreads; ++warp) {
    mine = LargerOf(mine, shared.of_warp[warp]);
  }
  block.Sync();
  return mine;
}

// Tokens [begin, end) of a row.
struct TokenRange {
  int32_t begin, end;
};

// Calls use(token id, values[id]) for the thread's share of the range, in ascending order and with
// some loads on their way. `use` may write values[id].
template <typename Use>
SIMT_DEVICE void ForTokens(const Block& block, TokenRange range, const float* values,
                           const Use& use) {
  constexpr int kInFlight = 8;
  const int32_t step = block.threads();
  for (int32_t at = range.begin + block.thread(); at < range.end; at += kInFlight * step) {
    float loaded[kInFlight];
    for (int i = 0; i < kInFlight; ++i) {
      const int32_t id = at + i * step;
      loaded[i] = id < range.end ? values[id] : 0;
    }
    for (int i = 0; i < kInFlight; ++i) {
      const int32_t id = at + i * step;
      if (id < range.end) use(id, loaded[i]);
    }
  }
}

// The thread's largest place, of its share of the range.
SIMT_DEVICE uint64_t LargestPlace(const Block& block, TokenRange range, const float* logits) {
  uint64_t largest = 0;
  ForTokens(block, range, logits, [&](int32_t id, float logit) {
    largest = LargerOf(largest, IsFinite(logit) ? PlaceOf(logit, id) : kDefectPlace);
  });
  return largest;
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_DRAW_MATH_H_
