#include "engine/sample/penalties.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"

namespace ssmd {
namespace {

// How often the model sampled a token that stands in the window.
struct Occurrences {
  int sampled = 0;
};

absl::flat_hash_map<int32_t, Occurrences> CountWindow(const PenaltyParams& params,
                                                      absl::Span<const LoggedToken> history) {
  absl::flat_hash_map<int32_t, Occurrences> counts;
  const auto limit = static_cast<size_t>(std::clamp(params.window, 0, kPenaltyWindowMax));
  for (const LoggedToken& token : history.last(std::min(limit, history.size()))) {
    Occurrences& count = counts[token.token_id()];
    if (token.sampled()) ++count.sampled;
  }
  return counts;
}

}  // namespace

std::vector<kernels::LogitAdjustment> LogitAdjustments(const PenaltyParams& params,
                                                       absl::Span<const LoggedToken> history) {
  absl::flat_hash_map<int32_t, kernels::LogitAdjustment> by_token;
  by_token.reserve(params.logit_bias.size());
  for (const auto& [token_id, bias] : params.logit_bias) {
    by_token[token_id] = {token_id, false, bias};
  }
  if (params.looks_back()) {
    for (const auto& [token_id, count] : CountWindow(params, history)) {
      kernels::LogitAdjustment& adjustment = by_token[token_id];
      adjustment.token_id = token_id;
      adjustment.repeated = params.repetition != 1;
      if (count.sampled > 0) {
        adjustment.add -= params.presence + params.frequency * static_cast<float>(count.sampled);
      }
    }
  }
  std::vector<kernels::LogitAdjustment> adjustments;
  adjustments.reserve(by_token.size());
  for (const auto& [token_id, adjustment] : by_token) {
    if (adjustment.repeated || adjustment.add != 0) adjustments.push_back(adjustment);
  }
  std::sort(adjustments.begin(), adjustments.end(),
            [](const auto& a, const auto& b) { return a.token_id < b.token_id; });
  return adjustments;
}

}  // namespace ssmd
