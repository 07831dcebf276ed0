#include "kernels/reference/ops.h"

namespace ssmd::kernels::reference {

void Embed(const EmbedParams& params) {
  const int64_t width = params.table->inputs;
  for (int64_t r = 0; r < params.rows; ++r) {
    for (int64_t k = 0; k < width; ++k) {
      params.out[r * width + k] = static_cast<float>(Weight(*params.table, params.token_ids[r], k));
    }
  }
}

}  // namespace ssmd::kernels::reference
