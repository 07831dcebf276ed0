#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/reference/ops.h"

namespace ssmd::kernels::reference {
namespace {

void LogprobsOfRow(LogprobRow& row, int64_t vocabulary) {
  const float* logits = row.logits;
  if (!std::all_of(logits, logits + vocabulary, [](float l) { return std::isfinite(l); })) {
    row.logprob = std::numeric_limits<float>::quiet_NaN();
    for (int32_t i = 0; i < row.top_count; ++i) row.top[i] = {i, row.logprob};
    return;
  }
  const double largest = *std::max_element(logits, logits + vocabulary);
  double sum = 0;
  for (int64_t i = 0; i < vocabulary; ++i) sum += std::exp(logits[i] - largest);
  const double log_sum = largest + std::log(sum);
  row.logprob = static_cast<float>(logits[row.token_id] - log_sum);

  std::vector<int32_t> ids(static_cast<size_t>(vocabulary));
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(),
                   [logits](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  for (int32_t i = 0; i < row.top_count; ++i) {
    const int32_t id = ids[static_cast<size_t>(i)];
    row.top[i] = {id, static_cast<float>(logits[id] - log_sum)};
  }
}

}  // namespace

void Logprobs(const LogprobParams& params) {
  for (int64_t r = 0; r < params.row_count; ++r) {
    LogprobsOfRow(params.rows[r], params.vocabulary);
  }
}

}  // namespace ssmd::kernels::reference
