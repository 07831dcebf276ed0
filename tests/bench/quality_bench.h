// What a number format costs in quality: one text through a model in f32 and in another format,
// token by token side by side.
#ifndef SSMD_TESTS_BENCH_QUALITY_BENCH_H_
#define SSMD_TESTS_BENCH_QUALITY_BENCH_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/models/language_model.h"
#include "kernels/device.h"

namespace ssmd::bench {

// Means are over the tokens that are predicted: all but the first.
struct Quality {
  int64_t tokens = 0;
  double original_perplexity = 0;
  double perplexity = 0;
  double mean_kl = 0;  // KL(original ‖ format) of the next token, in nats
  double largest_kl = 0;
  double same_greedy = 0;  // fraction of positions where both would take the same token
};

// Both models run `tokens` from an empty state. REQUIRES: at least two tokens, each in both
// vocabularies, which are equal; both models live on `device`.
absl::StatusOr<Quality> MeasureQuality(const std::vector<int32_t>& tokens, LanguageModel& original,
                                       LanguageModel& other, kernels::Device& device);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_QUALITY_BENCH_H_
