#include "kernels/cpu/running_draw.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/score_filters.h"
#include "kernels/random.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();
// How far the best of a race must be ahead. A token that wins has a score above −41, as the largest
// logit's is 0 and Gumbel numbers lie between −3.7 and 36.8; two roundings make that less exact by
// 41 · 2^−23, for each of two tokens.
constexpr double kAhead = 0x1p-15;
// Largest |logit / temperature| in a race: next_that_may_beat takes no more, with room for a Gumbel
// number. Races at lower temperatures would often end beyond it.
constexpr float kMaxRaced = 0x1p14f;
constexpr float kColdestRace = 0x1p-6f;

// No Gumbel number is larger (53 ln 2).
constexpr double kLargestGumbel = 37;
// An exponential may be this much larger than that of a larger score.
constexpr float kMassRounding = 1 + 0x1p-20f;

DrawKey KeyOf(const SampleRow& row) { return {row.seed, row.choice, row.position}; }

}  // namespace

void RunningDraw::Start(const SampleRow& row, int64_t vocabulary) {
  row_ = &row;
  vocabulary_ = vocabulary;
  not_finite_ = false;
  largest_ = kOutOfDraw;
  token_id_ = 0;
  best_ = second_ = kNever;
  room_ = listed_ = 0;
  top_k_ = row.top_k > 0 && row.top_k < vocabulary ? row.top_k : 0;
  if (row.temperature < std::numeric_limits<float>::min()) {
    way_ = Way::kLargest;
  } else if (top_k_ > 0) {
    way_ = top_k_ <= kMaxTopK ? Way::kListed : Way::kNone;
    room_ = top_k_ + kSpare;
  } else if (row.top_p < 1) {
    way_ = Way::kNone;  // which takes the mass of all tokens
  } else if (row.min_p > 0) {
    way_ = Way::kListed;
    room_ = kMaxListed;
  } else {
    way_ = row.temperature >= kColdestRace ? Way::kRace : Way::kNone;
  }
}

bool RunningDraw::decides() const { return may_decide() && (way_ != Way::kListed || top_k_ > 0); }

void RunningDraw::Take(const KernelTable& kernels, const float* logits, int64_t first,
                       int64_t count, float* scratch) {
  const float largest = kernels.largest_if_finite(logits, count);
  if (std::isnan(largest)) not_finite_ = true;
  if (not_finite_) return;
  if (way_ == Way::kLargest) {
    if (largest < largest_) return;
    const auto place = std::find(logits, logits + count, largest) - logits;
    TakeLargest(largest, static_cast<int32_t>(first + place));
    return;
  }
  largest_ = std::max(largest_, largest);
  if (way_ == Way::kRace) {
    TakeRace(kernels, logits, first, count, scratch);
  } else {
    TakeListed(kernels, logits, first, count);
  }
}

void RunningDraw::TakeLargest(float largest, int32_t token_id) {
  if (largest > largest_ || (largest == largest_ && token_id < token_id_)) {
    largest_ = largest;
    token_id_ = token_id;
  }
}

void RunningDraw::TakeRace(const KernelTable& kernels, const float* logits, int64_t first,
                           int64_t count, float* scratch) {
  const DrawKey key = KeyOf(*row_);
  const double temperature = row_->temperature;
  kernels.offset_divide(logits, count, 0, row_->temperature, scratch);
  const DrawRow draw = {scratch, count, first, key.seed, key.choice, key.position};
  uint32_t tokens = 0;
  for (int64_t at = 0;; at += kTokenBlock) {
    const auto to_beat = static_cast<float>(best_ - kAhead);
    at = kernels.next_that_may_beat(draw, at, to_beat, &tokens);
    if (at >= count) return;
    for (; tokens != 0; tokens &= tokens - 1) {
      const int64_t i = at + __builtin_ctz(tokens);
      const auto token_id = static_cast<int32_t>(first + i);
      Run(double{logits[i]} / temperature + Gumbel(key, token_id), token_id);
    }
  }
}

void RunningDraw::Run(double key, int32_t token_id) {
  if (key > best_) {
    second_ = best_;
    best_ = key;
    token_id_ = token_id;
  } else {
    second_ = std::max(second_, key);
  }
}

void RunningDraw::TakeListed(const KernelTable& kernels, const float* logits, int64_t first,
                             int64_t count) {
  uint32_t above = 0;
  for (int64_t at = 0;; at += kTokenBlock) {
    const float bound = listed_ == room_ ? list_[listed_ - 1].logit : kOutOfDraw;
    at = kernels.next_above(logits, at, count, bound, &above);
    if (at >= count) return;
    for (; above != 0; above &= above - 1) {
      const int64_t i = at + __builtin_ctz(above);
      List({logits[i], static_cast<int32_t>(first + i)});
    }
  }
}

void RunningDraw::List(Listed token) {
  if (listed_ == room_) {
    if (token.logit <= list_[listed_ - 1].logit) return;
    --listed_;
  }
  Listed* const end = list_ + listed_++;
  Listed* const place = std::upper_bound(
      list_, end, token, [](const Listed& a, const Listed& b) { return a.logit > b.logit; });
  std::move_backward(place, end, end + 1);
  *place = token;
}

void RunningDraw::Join(const RunningDraw& other) {
  not_finite_ |= other.not_finite_;
  switch (way_) {
    case Way::kNone:
      break;
    case Way::kLargest:
      TakeLargest(other.largest_, other.token_id_);
      break;
    case Way::kRace:
      largest_ = std::max(largest_, other.largest_);
      Run(other.best_, other.token_id_);
      second_ = std::max(second_, other.second_);
      break;
    case Way::kListed:
      for (int64_t i = 0; i < other.listed_; ++i) List(other.list_[i]);
      break;
  }
}

int32_t RunningDraw::Token(const KernelTable& kernels) const {
  if (not_finite_) return kNotFinite;
  switch (way_) {
    case Way::kNone:
      break;
    case Way::kLargest:
      return token_id_;
    case Way::kRace:
      return WinnerOfRace();
    case Way::kListed:
      return DrawOfListed(kernels);
  }
  return kUndecided;
}

int32_t RunningDraw::WinnerOfRace() const {
  const bool in_range = std::abs(largest_) <= kMaxRaced * row_->temperature;
  return in_range && best_ - second_ > kAhead ? token_id_ : kUndecided;
}

// Whether a token that was dropped may belong to those that are kept. `scores` are the list's.
bool RunningDraw::MayHaveDroppedKept(const KernelTable& kernels, const float* scores) const {
  if (listed_ == vocabulary_) return false;
  const float least = scores[listed_ - 1];  // that of a dropped one is no larger
  if (top_k_ > 0) return !(least < scores[top_k_ - 1]);
  float mass;
  ComputeMasses(kernels, &least, 1, &mass);
  return !IsImprobable(mass * kMassRounding + 1, row_->min_p);
}

int32_t RunningDraw::DrawOfListed(const KernelTable& kernels) const {
  Listed tokens[kMaxListed];
  float scores[kMaxListed];
  for (int64_t i = 0; i < listed_; ++i) scores[i] = list_[i].logit;
  kernels.offset_divide(scores, listed_, list_[0].logit, row_->temperature, scores);
  if (MayHaveDroppedKept(kernels, scores)) return kUndecided;

  std::copy(list_, list_ + listed_, tokens);
  std::sort(tokens, tokens + listed_,
            [](const Listed& a, const Listed& b) { return a.token_id < b.token_id; });
  for (int64_t i = 0; i < listed_; ++i) scores[i] = tokens[i].logit;
  kernels.offset_divide(scores, listed_, list_[0].logit, row_->temperature, scores);
  float masses[kMaxListed];
  KeepProbable(kernels, *row_, listed_, scores, masses);

  const DrawKey key = KeyOf(*row_);
  double best = kNever;
  int32_t best_id = 0;
  for (int64_t i = 0; i < listed_; ++i) {
    if (scores[i] == kOutOfDraw || double{scores[i]} + kLargestGumbel < best) continue;
    const double score = double{scores[i]} + Gumbel(key, tokens[i].token_id);
    if (score > best) {
      best = score;
      best_id = tokens[i].token_id;
    }
  }
  return best_id;
}

}  // namespace ssmd::kernels::cpu
