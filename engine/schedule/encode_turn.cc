#include "engine/schedule/encode_turn.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace ssmd {

EncodeTurn::EncodeTurn(ReadStart start, Pooling pooling, bool normalize, int d_model, Done done)
    : ReadTurn(std::move(start), 0, std::move(done)),
      pooling_(pooling),
      normalize_(normalize),
      d_model_(static_cast<size_t>(d_model)),
      pooled_(d_model_) {}

void EncodeTurn::WantRows(Lane* lane, int count, std::vector<RowJob>* jobs) {
  const bool ends = static_cast<size_t>(count) == lane->ready();
  const int first = pooling_ != Pooling::kLast ? 0 : ends ? count - 1 : count;
  step_rows_.resize(static_cast<size_t>(count - first) * d_model_);
  for (int i = first; i < count; ++i) {
    RowJob job;
    job.row = i;
    job.hidden = step_rows_.data() + static_cast<size_t>(i - first) * d_model_;
    jobs->push_back(job);
  }
}

int EncodeTurn::Advance(Lane* /*lane*/, TimePoint /*now*/, Observer* /*observer*/) {
  for (size_t at = 0; at < step_rows_.size(); at += d_model_) Pool(step_rows_.data() + at);
  return 0;
}

void EncodeTurn::Pool(const float* hidden) {
  const bool first = pooled_rows_++ == 0;
  for (size_t i = 0; i < d_model_; ++i) {
    const double value = hidden[i];
    not_finite_ |= !std::isfinite(value);
    if (pooling_ == Pooling::kMean) {
      pooled_[i] += value;
    } else {
      pooled_[i] = first ? value : std::max(pooled_[i], value);
    }
  }
}

EncodeResult EncodeTurn::TakeResult() {
  double scale = pooling_ == Pooling::kMean ? 1.0 / static_cast<double>(pooled_rows_) : 1.0;
  if (normalize_) {
    const double square = std::inner_product(pooled_.begin(), pooled_.end(), pooled_.begin(), 0.0);
    scale = square > 0 ? 1 / std::sqrt(square) : 0;
  }
  EncodeResult result;
  result.values.resize(d_model_);
  std::transform(pooled_.begin(), pooled_.end(), result.values.begin(),
                 [scale](double value) { return static_cast<float>(value * scale); });
  result.tokens = static_cast<int64_t>(token_ids_.size());
  result.numerics_profile = std::move(numerics_profile_);
  return result;
}

}  // namespace ssmd
