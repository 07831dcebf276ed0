// The logit adjustments that follow from a request's penalties, its logit bias and the recent
// history.
//
// The window is the last `window` tokens of the history (earlier turns included). Repetition looks
// at all of them, presence and frequency at those that the model sampled.
#ifndef SSMD_ENGINE_SAMPLE_PENALTIES_H_
#define SSMD_ENGINE_SAMPLE_PENALTIES_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "engine/state/token_log.h"
#include "kernels/ops.h"

namespace ssmd {

inline constexpr int kPenaltyWindowMax = 4096;

struct PenaltyParams {
  float repetition = 1;  // > 0; 1 = none
  float presence = 0;
  float frequency = 0;
  int window = 256;                                        // tokens, 0..kPenaltyWindowMax
  std::vector<std::pair<int32_t, float>> logit_bias = {};  // distinct ids

  bool looks_back() const { return repetition != 1 || presence != 0 || frequency != 0; }
};

// Distinct ids, ascending. `history` is the whole history or at least its last `window` tokens.
// Linear in window + logit_bias.
std::vector<kernels::LogitAdjustment> LogitAdjustments(const PenaltyParams& params,
                                                       absl::Span<const LoggedToken> history);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SAMPLE_PENALTIES_H_
