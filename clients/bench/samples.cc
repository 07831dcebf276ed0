#include "clients/bench/samples.h"

#include <algorithm>

namespace ssmd::bench {

void Samples::Add(double value) {
  max_ = count_ == 0 ? value : std::max(max_, value);
  sum_ += value;
  ++count_;
  if (kept_.size() < kept_max_) {
    kept_.push_back(value);
    return;
  }
  const uint64_t place = random_() % static_cast<uint64_t>(count_);
  if (place < kept_max_) kept_[place] = value;
}

void Samples::Merge(const Samples& other) {
  if (other.count_ == 0) return;
  max_ = count_ == 0 ? other.max_ : std::max(max_, other.max_);
  sum_ += other.sum_;
  count_ += other.count_;
  const size_t room = kept_max_ - std::min(kept_max_, kept_.size());
  const auto end =
      other.kept_.begin() + static_cast<std::ptrdiff_t>(std::min(room, other.kept_.size()));
  kept_.insert(kept_.end(), other.kept_.begin(), end);
}

Percentiles Samples::Summary() const {
  Percentiles summary = PercentilesOf(kept_);
  if (count_ > 0) summary.mean = sum_ / static_cast<double>(count_);
  summary.max = max_;
  return summary;
}

}  // namespace ssmd::bench
