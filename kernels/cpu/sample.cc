#include "kernels/cpu/sample.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/running_draw.h"
#include "kernels/cpu/score_filters.h"
#include "kernels/random.h"

namespace ssmd::kernels::cpu {
namespace {

// Logits that a running draw takes at a time: some that stay in the nearest cache.
constexpr int64_t kTakenTokens = 2048;

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

// Gumbel-max. Most tokens are ruled out 16 at a time; the exact number is worked out for the rest.
int32_t Draw(const KernelTable& kernels, const SampleRow& row, int64_t vocabulary,
             const float* scores) {
  const DrawKey key{row.seed, row.choice, row.position};
  const DrawRow draw{scores, vocabulary, 0, row.seed, row.choice, row.position};
  auto best_id = static_cast<int32_t>(std::find(scores, scores + vocabulary, 0.0f) - scores);
  double best = Gumbel(key, best_id);
  uint32_t tokens = 0;
  for (int64_t at = 0;; at += kTokenBlock) {
    at = kernels.next_that_may_beat(draw, at, static_cast<float>(best), &tokens);
    if (at >= vocabulary) return best_id;
    for (; tokens != 0; tokens &= tokens - 1) {
      const auto id = static_cast<int32_t>(at + __builtin_ctz(tokens));
      const double score = double{scores[id]} + Gumbel(key, id);
      if (score > best || (score == best && id < best_id)) {
        best = score;
        best_id = id;
      }
    }
  }
}

// What a running draw makes of all logits. `scratch` is (kTakenTokens).
int32_t DrawInOnePass(const KernelTable& kernels, const SampleRow& row, int64_t vocabulary,
                      const float* logits, float* scratch) {
  RunningDraw draw;
  draw.Start(row, vocabulary);
  if (!draw.may_decide()) return kUndecided;
  for (int64_t first = 0; first < vocabulary; first += kTakenTokens) {
    const int64_t count = std::min(kTakenTokens, vocabulary - first);
    draw.Take(kernels, logits + first, first, count, scratch);
  }
  return draw.Token(kernels);
}

// top_p and min_p, where top_k keeps all: only tokens that top_p may keep are looked at closely.
//
// A token that top_p keeps has, with those behind it, more than the mass that is not wanted, so one
// of them has more than a share of it; and none behind it has much more than it has itself (an
// exponential rounds; a quarter covers that and the rounding down).
void KeepProbableOfAll(const KernelTable& kernels, const SampleRow& row, int64_t vocabulary,
                       SampleScratch scratch) {
  const uint64_t total = ComputeMasses(kernels, scratch.scores, vocabulary, scratch.masses);
  const auto unwanted = static_cast<double>(total - WantedMass(row.top_p, total));
  const auto bound = static_cast<float>(0.75 * unwanted / static_cast<double>(vocabulary));
  if (bound < 4) {
    KeepByMass(row, total, vocabulary, scratch.masses, scratch.scores);
    return;
  }
  int64_t listed = 0;
  uint32_t above = 0;
  for (int64_t at = 0;; at += kTokenBlock) {
    at = kernels.next_above(scratch.masses, at, vocabulary, bound, &above);
    if (at >= vocabulary) break;
    for (; above != 0; above &= above - 1) {
      const int64_t i = at + __builtin_ctz(above);
      scratch.listed_tokens[listed] = static_cast<int32_t>(i);
      scratch.listed_scores[listed] = scratch.scores[i];
      scratch.masses[listed++] = scratch.masses[i];
    }
  }
  KeepByMass(row, total, listed, scratch.masses, scratch.listed_scores);
  std::fill(scratch.scores, scratch.scores + vocabulary, kOutOfDraw);
  for (int64_t i = 0; i < listed; ++i) {
    scratch.scores[scratch.listed_tokens[i]] = scratch.listed_scores[i];
  }
}

// The definition's steps one by one, each over all tokens.
int32_t DrawInSteps(const KernelTable& kernels, const SampleRow& row, int64_t vocabulary,
                    const float* logits, SampleScratch scratch) {
  const float largest = kernels.largest_if_finite(logits, vocabulary);
  if (std::isnan(largest)) return kNotFinite;
  kernels.offset_divide(logits, vocabulary, largest, row.temperature, scratch.scores);
  if (row.top_p < 1 && (row.top_k <= 0 || row.top_k >= vocabulary)) {
    KeepProbableOfAll(kernels, row, vocabulary, scratch);
  } else {
    KeepProbable(kernels, row, vocabulary, scratch.scores, scratch.masses);
  }
  return Draw(kernels, row, vocabulary, scratch.scores);
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
  const float* logits = row.logits;
  if (row.adjustment_count > 0) {
    if (std::isnan(kernels.largest_if_finite(logits, vocabulary))) {
      row.token_id = kNotFinite;
      return;
    }
    std::copy(logits, logits + vocabulary, scratch.scores);
    Adjust(row, scratch.scores);
    logits = scratch.scores;
  }
  row.token_id = DrawInOnePass(kernels, row, vocabulary, logits, scratch.masses);
  if (row.token_id == kUndecided) {
    row.token_id = DrawInSteps(kernels, row, vocabulary, logits, scratch);
  }
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
