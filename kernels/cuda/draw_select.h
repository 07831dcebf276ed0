// Which tokens of a row are the first ones, by ascending key and then by ascending id, whose
// weights reach a target: what cpu/radix_select.h selects, by a block.
//
// A key is found digit by digit, from the top: each pass adds up the weights of the tokens that
// have the digits found so far, by their next digit. Weights are whole numbers, so the order in
// which they are added does not show. Sums are kept a lane apart: scores have few exponents, and
// lanes of a warp would wait for each other.
#ifndef SSMD_KERNELS_CUDA_DRAW_SELECT_H_
#define SSMD_KERNELS_CUDA_DRAW_SELECT_H_

#include <cstdint>
#include <limits>

#include "kernels/cuda/draw_math.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda {

// What is selected: keys below `key`, and of those equal to it ids up to `last_id`.
struct Cut {
  uint32_t key = 0xFFFFFFFF;
  int32_t last_id = std::numeric_limits<int32_t>::max();
};
SIMT_DEVICE bool Keeps(const Cut& cut, uint32_t key, int32_t token_id) {
  return key < cut.key || (key == cut.key && token_id <= cut.last_id);
}

inline constexpr int kDigitBits = 8;
inline constexpr int kDigits = 1 << kDigitBits;

// The digit in whose tokens a target is reached.
struct ReachedDigit {
  uint32_t digit;
  uint64_t target;  // what is left of it
  uint64_t weight;  // of all tokens with the digit; >= target
};

struct SelectShared {
  // Sums of weights, in two halves: GPUs add 32 bits to shared memory at once, 64 by attempts.
  uint32_t low[kDigits][kWarpThreads];
  uint32_t high[kDigits][kWarpThreads];
  uint64_t sums[kDigits];
  ReachedDigit reached;
};

SIMT_DEVICE void AddWeight(SelectShared& shared, uint32_t digit, int lane, uint64_t weight) {
  const auto low = static_cast<uint32_t>(weight);
  auto high = static_cast<uint32_t>(weight >> 32);
  const uint32_t before = AtomicAdd(&shared.low[digit][lane], low);
  if (before + low < low) ++high;
  if (high != 0) AtomicAdd(&shared.high[digit][lane], high);
}

SIMT_DEVICE void ClearSums(const Block& block, SelectShared& shared) {
  for (int i = block.thread(); i < kDigits * kWarpThreads; i += block.threads()) {
    shared.low[i / kWarpThreads][i % kWarpThreads] = 0;
    shared.high[i / kWarpThreads][i % kWarpThreads] = 0;
  }
}

// A thread a digit. Threads begin at different lanes, which lie in different banks.
SIMT_DEVICE void JoinLanes(const Block& block, SelectShared& shared) {
  for (int digit = block.thread(); digit < kDigits; digit += block.threads()) {
    uint64_t sum = 0;
    for (int i = 0; i < kWarpThreads; ++i) {
      const int lane = (digit + i) % kWarpThreads;
      sum += uint64_t{shared.high[digit][lane]} << 32 | shared.low[digit][lane];
    }
    shared.sums[digit] = sum;
  }
}

// By one warp: sets shared.reached. A lane has some neighbouring digits.
template <typename TargetOf>
SIMT_DEVICE void ReachTarget(const Block& block, SelectShared& shared, const TargetOf& target_of) {
  constexpr int kShare = kDigits / kWarpThreads;
  const int first = block.lane() * kShare;
  uint64_t share = 0;
  for (int i = 0; i < kShare; ++i) share += shared.sums[first + i];
  uint64_t up_to = share;  // of all lanes up to this one
  for (int distance = 1; distance < kWarpThreads; distance *= 2) {
    const uint64_t below = block.Shuffle(up_to, (block.lane() - distance) & (kWarpThreads - 1));
    if (block.lane() >= distance) up_to += below;
  }
  const uint64_t target = target_of(block.Shuffle(up_to, kWarpThreads - 1));
  const uint64_t before = up_to - share;
  if (before >= target || target > up_to) return;
  uint64_t left = target - before;
  int digit = first;
  while (shared.sums[digit] < left) left -= shared.sums[digit++];
  shared.reached = {static_cast<uint32_t>(digit), left, shared.sums[digit]};
}

// digit_of(token id, score, &digit) gives the weight to be added to the digit, 0 for none;
// target_of(total weight) what is to be reached.
template <typename DigitOf, typename TargetOf>
SIMT_DEVICE ReachedDigit FindDigit(const Block& block, SelectShared& shared, TokenRange tokens,
                                   const float* scores, const DigitOf& digit_of,
                                   const TargetOf& target_of) {
  ClearSums(block, shared);
  block.Sync();
  ForTokens(block, tokens, scores, [&](int32_t id, float score) {
    uint32_t digit = 0;
    const uint64_t weight = digit_of(id, score, &digit);
    if (weight != 0) AddWeight(shared, digit, block.lane(), weight);
  });
  block.Sync();
  JoinLanes(block, shared);
  block.Sync();
  if (block.warp() == 0) ReachTarget(block, shared, target_of);
  block.Sync();
  return shared.reached;
}

// The last of the first `ties` ids of those that have the key.
template <typename KeyOf>
SIMT_DEVICE int32_t LastOfTies(const Block& block, SelectShared& shared, TokenRange tokens,
                               const float* scores, const KeyOf& key_of, uint32_t key,
                               uint64_t ties) {
  uint32_t prefix = 0;
  for (int shift = 2 * kDigitBits; shift >= 0; shift -= kDigitBits) {
    const auto digit_of = [&](int32_t id, float score, uint32_t* digit) {
      const uint32_t upper = static_cast<uint32_t>(id) >> shift;
      *digit = upper % kDigits;
      return uint64_t{upper / kDigits == prefix >> (shift + kDigitBits) && key_of(score) == key};
    };
    const ReachedDigit reached =
        FindDigit(block, shared, tokens, scores, digit_of, [&](uint64_t) { return ties; });
    prefix |= reached.digit << shift;
    ties = reached.target;
  }
  return static_cast<int32_t>(prefix);
}

// The smallest set of first tokens, among those that `limit` keeps, whose weights reach a target.
// key_of(score) is the key, weight_of(key) the weight, and target_of(total weight) the target.
// REQUIRES: 1 <= target <= total; at most 2^24 tokens.
template <typename KeyOf, typename WeightOf, typename TargetOf>
SIMT_DEVICE Cut SelectFirst(const Block& block, SelectShared& shared, TokenRange tokens,
                            const float* scores, const Cut& limit, const KeyOf& key_of,
                            const WeightOf& weight_of, const TargetOf& target_of) {
  constexpr int kTop = 32 - kDigitBits;
  uint32_t prefix = 0;
  ReachedDigit reached = {};
  for (int shift = kTop; shift >= 0; shift -= kDigitBits) {
    const uint64_t known = ~uint64_t{0} << (shift + kDigitBits);
    const auto digit_of = [&](int32_t id, float score, uint32_t* digit) {
      const uint32_t key = key_of(score);
      *digit = key >> shift & (kDigits - 1);
      const bool counts = (key & known) == prefix && Keeps(limit, key, id);
      return counts ? weight_of(key) : uint64_t{0};
    };
    const uint64_t left = reached.target;
    reached = FindDigit(block, shared, tokens, scores, digit_of,
                        [&](uint64_t total) { return shift == kTop ? target_of(total) : left; });
    prefix |= reached.digit << shift;
  }
  // Tokens with the last digit have one key, hence one weight.
  const uint64_t each = weight_of(prefix);
  const uint64_t ties = (reached.target + each - 1) / each;
  if (ties * each < reached.weight) {
    return {prefix, LastOfTies(block, shared, tokens, scores, key_of, prefix, ties)};
  }
  return prefix == limit.key ? limit : Cut{prefix};
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_DRAW_SELECT_H_
