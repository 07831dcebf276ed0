// Sampling by its definition: sort everything, then walk.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/random.h"
#include "kernels/reference/ops.h"

namespace ssmd::kernels::reference {
namespace {

struct Candidate {
  int32_t token_id;
  float score;    // (adjusted logit − largest) / temperature, f32 as ops.h says
  uint64_t mass;  // probability relative to the largest's, fixed point
};

bool Finite(const float* logits, int64_t vocabulary) {
  return std::all_of(logits, logits + vocabulary, [](float l) { return std::isfinite(l); });
}

std::vector<float> Adjusted(const SampleRow& row, int64_t vocabulary) {
  std::vector<float> logits(row.logits, row.logits + vocabulary);
  constexpr float kLargest = std::numeric_limits<float>::max();
  for (int64_t i = 0; i < row.adjustment_count; ++i) {
    const LogitAdjustment& adjustment = row.adjustments[i];
    float& logit = logits[static_cast<size_t>(adjustment.token_id)];
    if (adjustment.repeated) {
      logit = logit > 0 ? logit / row.repetition_penalty : logit * row.repetition_penalty;
    }
    logit = std::clamp(logit + adjustment.add, -kLargest, kLargest);
  }
  return logits;
}

void KeepTopP(float top_p, std::vector<Candidate>& sorted) {
  uint64_t total = 0;
  for (const Candidate& candidate : sorted) total += candidate.mass;
  const uint64_t target =
      static_cast<uint64_t>(std::ceil(double{top_p} * static_cast<double>(total)));
  uint64_t sum = 0;
  size_t kept = 0;
  while (kept < sorted.size() && (kept == 0 || sum < target)) sum += sorted[kept++].mass;
  sorted.resize(kept);
}

int32_t Draw(const SampleRow& row, const std::vector<Candidate>& candidates) {
  const DrawKey key{row.seed, row.choice, row.position};
  int32_t best_id = -1;
  double best = -std::numeric_limits<double>::infinity();
  for (const Candidate& candidate : candidates) {
    const double score = double{candidate.score} + Gumbel(key, candidate.token_id);
    if (best_id < 0 || score > best || (score == best && candidate.token_id < best_id)) {
      best = score;
      best_id = candidate.token_id;
    }
  }
  return best_id;
}

int32_t SampleOne(const SampleRow& row, int64_t vocabulary) {
  if (!Finite(row.logits, vocabulary)) return kNotFinite;
  const std::vector<float> logits = Adjusted(row, vocabulary);
  const auto largest = std::max_element(logits.begin(), logits.end());
  if (row.temperature < std::numeric_limits<float>::min()) {
    return static_cast<int32_t>(largest - logits.begin());
  }

  std::vector<Candidate> candidates;
  for (int32_t id = 0; id < vocabulary; ++id) {
    const float score = (logits[static_cast<size_t>(id)] - *largest) / row.temperature;
    candidates.push_back({id, score, static_cast<uint64_t>(std::exp(double{score}) * kMassOne)});
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.score > b.score; });

  if (row.top_k > 0 && row.top_k < vocabulary) candidates.resize(static_cast<size_t>(row.top_k));
  if (row.top_p < 1) KeepTopP(row.top_p, candidates);
  const double least = double{row.min_p} * kMassOne;
  std::erase_if(candidates, [least](const Candidate& candidate) {
    return static_cast<double>(candidate.mass) < least;
  });
  return Draw(row, candidates);
}

}  // namespace

void Sample(const SampleParams& params) {
  for (int64_t r = 0; r < params.row_count; ++r) {
    params.rows[r].token_id = SampleOne(params.rows[r], params.vocabulary);
  }
}

void SampleHead(const SampleHeadParams& params) {
  MatMul(params.product);
  Sample({params.product.w->outputs, params.draws, params.draw_count});
}

}  // namespace ssmd::kernels::reference
