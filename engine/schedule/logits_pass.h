// What a step does with hidden vectors and logits. These come in tiles of as many rows as the model
// makes at a time, so that the memory for logits is bounded however many rows are wanted: given
// tokens are scored, and new ones drawn.
//
// Step thread.
#ifndef SSMD_ENGINE_SCHEDULE_LOGITS_PASS_H_
#define SSMD_ENGINE_SCHEDULE_LOGITS_PASS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "engine/models/language_model.h"
#include "engine/schedule/request.h"
#include "kernels/device.h"

namespace ssmd {

// One token to draw. Filled in by the turn; the result is valid after the step.
struct Draw {
  const SamplingParams* sampling = nullptr;
  std::vector<kernels::LogitAdjustment> adjustments;
  uint64_t seed = 0;
  uint32_t choice = 0;
  uint64_t position = 0;
  std::optional<int32_t> top_logprobs;  // absent: no log-probabilities are wanted

  TokenDetail drawn;  // result
};

// What is wanted of one row's logits. Whatever it is, the row is checked: `not_finite` is set when
// it has a logit that is not finite.
struct RowJob {
  int row = 0;                    // of the batch
  int32_t target = 0;             // the token to score
  int32_t top = 0;                // alternatives beside it
  TokenDetail* scored = nullptr;  // result; null: not wanted
  absl::Span<Draw> draws;
  bool* not_finite = nullptr;
  // Where the row's d_model hidden values go. Then nothing else is wanted of it: no logits are
  // made, and nothing is checked.
  float* hidden = nullptr;
};

// Brings jobs that want hidden vectors behind those that want logits.
void OrderJobs(absl::Span<RowJob> jobs);

// `jobs` are the model's last batch's logit_rows, one each, in order: of OrderJobs.
void RunLogitsPass(LanguageModel* model, kernels::Device* device, absl::Span<RowJob> jobs);

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_LOGITS_PASS_H_
