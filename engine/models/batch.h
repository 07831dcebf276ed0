// All tokens of one step, flattened. Any mix of prompts and decoding sessions is one Batch; there
// is no separate decode model.
#ifndef SSMD_ENGINE_MODELS_BATCH_H_
#define SSMD_ENGINE_MODELS_BATCH_H_

#include <cstdint>
#include <vector>

#include "kernels/tensor.h"

namespace ssmd {

struct Batch {
  std::vector<int32_t> token_ids;          // (rows); each in [0, vocabulary)
  std::vector<kernels::Segment> segments;  // cover all rows, ascending, without gaps
  std::vector<int32_t> logit_rows;         // rows whose final hidden vectors are wanted

  int rows() const { return static_cast<int>(token_ids.size()); }
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_BATCH_H_
