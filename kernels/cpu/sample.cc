#include "kernels/cpu/sample.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/radix_select.h"
#include "kernels/random.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr float kOut = -std::numeric_limits<float>::infinity();  // score of a token out of the draw
constexpr int64_t kBlockTokens = 16;                             // of KernelTable::may_beat

void Adjust(const SampleRow& row, float* logits) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  for (int64_t i = 0; i < row.adjustment_count; ++i) {
    const LogitAdjustment& adjustment = row.adjustments[i];
    float& logit = logits[adjustment.token_id];
    if (adjustment.repeated) {
      logit = logit > 0 ? logit / row.repetition_penalty : logit * row.repetition_penalty;
    }
    logit = std::clamp(logit + adjustment.add, -kLargest, kLargest);
  }
}

void ApplyCut(const Cut& cut, int64_t vocabulary, float* scores) {
  int64_t ties_left = cut.ties;
  for (int64_t i = 0; i < vocabulary; ++i) {
    const uint32_t key = ScoreKey(scores[i]);
    if (key < cut.key || (key == cut.key && ties_left-- > 0)) continue;
    scores[i] = kOut;
  }
}

void KeepTopK(int64_t top_k, int64_t vocabulary, float* scores) {
  if (top_k <= 0 || top_k >= vocabulary) return;
  const auto one = [](int64_t) { return uint64_t{1}; };
  ApplyCut(SelectLargest(scores, vocabulary, static_cast<uint64_t>(top_k), one), vocabulary,
           scores);
}

void KeepTopP(float top_p, int64_t vocabulary, const float* masses, float* scores) {
  const auto mass = [masses](int64_t i) { return static_cast<uint64_t>(masses[i]); };
  uint64_t total = 0;
  for (int64_t i = 0; i < vocabulary; ++i) total += mass(i);
  const auto target = static_cast<uint64_t>(std::ceil(double{top_p} * static_cast<double>(total)));
  ApplyCut(SelectLargest(scores, vocabulary, std::max(target, uint64_t{1}), mass), vocabulary,
           scores);
}

void KeepMinP(float min_p, int64_t vocabulary, const float* masses, float* scores) {
  const double least = double{min_p} * kMassOne;
  for (int64_t i = 0; i < vocabulary; ++i) {
    if (std::trunc(static_cast<double>(masses[i])) < least) scores[i] = kOut;
  }
}

void KeepProbable(const KernelTable& kernels, const SampleRow& row, int64_t vocabulary,
                  SampleScratch scratch) {
  if (row.top_p >= 1 && row.min_p <= 0) return;
  kernels.exponentials(scratch.scores, vocabulary, scratch.masses);
  // Exact, being a power of two; the rounding down is in the use as integers.
  for (int64_t i = 0; i < vocabulary; ++i) scratch.masses[i] *= static_cast<float>(kMassOne);
  if (row.top_p < 1) KeepTopP(row.top_p, vocabulary, scratch.masses, scratch.scores);
  if (row.min_p > 0) KeepMinP(row.min_p, vocabulary, scratch.masses, scratch.scores);
}

// Gumbel-max. Most tokens are ruled out 16 at a time; the exact number is worked out for the rest.
int32_t Draw(const KernelTable& kernels, const SampleRow& row, int64_t vocabulary,
             const float* scores) {
  const DrawKey key{row.seed, row.choice, row.position};
  const DrawRow draw{scores, vocabulary, row.seed, row.choice, row.position};
  auto best_id = static_cast<int32_t>(std::find(scores, scores + vocabulary, 0.0f) - scores);
  double best = Gumbel(key, best_id);
  for (int64_t first = 0; first < vocabulary; first += kBlockTokens) {
    uint32_t candidates = kernels.may_beat(draw, first, static_cast<float>(best));
    for (; candidates != 0; candidates &= candidates - 1) {
      const auto id = static_cast<int32_t>(first + __builtin_ctz(candidates));
      const double score = double{scores[id]} + Gumbel(key, id);
      if (score > best || (score == best && id < best_id)) {
        best = score;
        best_id = id;
      }
    }
  }
  return best_id;
}

// Inserts into a list kept in descending order, `count` long, that holds at most `limit`. Called in
// ascending token id, so ties stay in that order.
void InsertTop(TokenLogprob candidate, int32_t limit, int32_t& count, TokenLogprob* top) {
  if (count == limit && candidate.logprob <= top[count - 1].logprob) return;
  int32_t place = count < limit ? count++ : limit - 1;
  for (; place > 0 && top[place - 1].logprob < candidate.logprob; --place) {
    top[place] = top[place - 1];
  }
  top[place] = candidate;
}

}  // namespace

void SampleOne(const KernelTable& kernels, int64_t vocabulary, SampleScratch scratch,
               SampleRow& row) {
  if (std::isnan(kernels.largest_if_finite(row.logits, vocabulary))) {
    row.token_id = kNotFinite;
    return;
  }
  std::copy(row.logits, row.logits + vocabulary, scratch.scores);
  Adjust(row, scratch.scores);
  const float largest = kernels.largest_if_finite(scratch.scores, vocabulary);
  if (row.temperature < std::numeric_limits<float>::min()) {
    row.token_id = static_cast<int32_t>(
        std::find(scratch.scores, scratch.scores + vocabulary, largest) - scratch.scores);
    return;
  }
  kernels.offset_divide(scratch.scores, vocabulary, largest, row.temperature, scratch.scores);
  KeepTopK(row.top_k, vocabulary, scratch.scores);
  KeepProbable(kernels, row, vocabulary, scratch);
  row.token_id = Draw(kernels, row, vocabulary, scratch.scores);
}

void LogprobsOne(const KernelTable& kernels, int64_t vocabulary, LogprobRow& row) {
  const float largest = kernels.largest_if_finite(row.logits, vocabulary);
  if (std::isnan(largest)) {
    row.logprob = largest;
    for (int32_t i = 0; i < row.top_count; ++i) row.top[i] = {i, largest};
    return;
  }
  const double log_sum =
      double{largest} + Log(kernels.sum_of_exponentials(row.logits, vocabulary, largest));
  row.logprob = static_cast<float>(double{row.logits[row.token_id]} - log_sum);
  if (row.top_count == 0) return;

  // Ordered by logit, which distinct logprobs may round together.
  int32_t count = 0;
  for (int64_t i = 0; i < vocabulary; ++i) {
    InsertTop({static_cast<int32_t>(i), row.logits[i]}, row.top_count, count, row.top);
  }
  for (int32_t i = 0; i < count; ++i) {
    row.top[i].logprob = static_cast<float>(double{row.top[i].logprob} - log_sum);
  }
}

}  // namespace ssmd::kernels::cpu
