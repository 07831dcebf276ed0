// What a number format of weights or states costs in quality: one text through a model in f32 and
// in another format, token by token side by side.
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

// What becomes of states of `other` after each token. kKept: what its own format makes of them.
// The others round f32 to the nearest number of 16 bits, as no model does: for comparison.
enum class StateRounding : uint8_t { kKept, kNearestBf16, kNearestF16 };

// Both models run `tokens` from an empty state. REQUIRES: at least two tokens, each in both
// vocabularies, which are equal; both models live on `device`, whose memory is the host's; kKept
// unless the states of `other` are f32.
absl::StatusOr<Quality> MeasureQuality(const std::vector<int32_t>& tokens, LanguageModel& original,
                                       LanguageModel& other, StateRounding rounding,
                                       kernels::Device& device);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_QUALITY_BENCH_H_
