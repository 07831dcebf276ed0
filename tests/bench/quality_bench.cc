#include "tests/bench/quality_bench.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "engine/base/status_macros.h"
#include "engine/models/batch.h"
#include "engine/state/state_pool.h"
#include "kernels/number_format.h"

namespace ssmd::bench {
namespace {

// A model with one stream.
class Reader {
 public:
  static absl::StatusOr<std::unique_ptr<Reader>> Create(LanguageModel& model,
                                                        kernels::Device& device) {
    SSMD_ASSIGN_OR_RETURN(std::unique_ptr<StatePool> pool,
                          StatePool::Create(&device, model.state_layout(), 1));
    return std::unique_ptr<Reader>(new Reader(model, std::move(pool)));
  }

  // Rounds what the recurrences hold, as if it had been kept in 16 bits.
  void RoundStates(StateRounding rounding) {
    for (const StateFieldSpec& spec : model_.state_layout().fields()) {
      if (spec.kind != StateKind::kSsm) continue;
      const StatePlace place = {spec.offset, spec.format, static_cast<uint32_t>(spec.layer)};
      float* state = pool_->field(place).floats(slot_.index());
      for (size_t i = 0; i < spec.bytes / sizeof(float); ++i) {
        state[i] = rounding == StateRounding::kNearestBf16
                       ? kernels::WidenBf16(kernels::RoundToBf16(state[i]))
                       : kernels::WidenF16(kernels::RoundToF16(state[i]));
      }
    }
  }

  // Feeds the next tokens; their logits can be asked for, all rows at once. At most Room().
  const float* Read(const std::vector<int32_t>& tokens) {
    Batch batch;
    batch.token_ids = tokens;
    const auto length = static_cast<int32_t>(tokens.size());
    batch.segments = {{0, length, slot_.index(), slot_.index(), position_}};
    batch.logit_rows.resize(tokens.size());
    std::iota(batch.logit_rows.begin(), batch.logit_rows.end(), 0);
    model_.Forward(batch, *pool_);
    position_ += length;
    return model_.Logits(0, length);
  }

  int room() const { return std::min(model_.max_rows(), model_.max_logit_rows()); }

 private:
  Reader(LanguageModel& model, std::unique_ptr<StatePool> pool)
      : model_(model), pool_(std::move(pool)), slot_(pool_->Acquire()) {}

  LanguageModel& model_;
  std::unique_ptr<StatePool> pool_;
  Slot slot_;
  int64_t position_ = 0;
};

std::vector<double> LogSoftmax(const float* logits, int64_t vocabulary) {
  const double largest = *std::max_element(logits, logits + vocabulary);
  double sum = 0;
  for (int64_t i = 0; i < vocabulary; ++i) sum += std::exp(logits[i] - largest);
  const double norm = largest + std::log(sum);
  std::vector<double> logprobs(static_cast<size_t>(vocabulary));
  for (int64_t i = 0; i < vocabulary; ++i) logprobs[static_cast<size_t>(i)] = logits[i] - norm;
  return logprobs;
}

class Tally {
 public:
  // The two distributions of a position, and the token that came next.
  void Add(const std::vector<double>& original, const std::vector<double>& other, int32_t next) {
    double kl = 0;
    for (size_t i = 0; i < original.size(); ++i) {
      kl += std::exp(original[i]) * (original[i] - other[i]);
    }
    ++tokens_;
    original_loss_ -= original[static_cast<size_t>(next)];
    loss_ -= other[static_cast<size_t>(next)];
    kl_ += kl;
    largest_kl_ = std::max(largest_kl_, kl);
    const auto best = [](const std::vector<double>& logprobs) {
      return std::max_element(logprobs.begin(), logprobs.end()) - logprobs.begin();
    };
    if (best(original) == best(other)) ++same_;
  }

  Quality Result() const {
    const auto count = static_cast<double>(tokens_);
    Quality quality;
    quality.tokens = tokens_;
    quality.original_perplexity = std::exp(original_loss_ / count);
    quality.perplexity = std::exp(loss_ / count);
    quality.mean_kl = kl_ / count;
    quality.largest_kl = largest_kl_;
    quality.same_greedy = static_cast<double>(same_) / count;
    return quality;
  }

 private:
  int64_t tokens_ = 0;
  int64_t same_ = 0;
  double original_loss_ = 0, loss_ = 0, kl_ = 0, largest_kl_ = 0;
};

}  // namespace

absl::StatusOr<Quality> MeasureQuality(const std::vector<int32_t>& tokens, LanguageModel& original,
                                       LanguageModel& other, StateRounding rounding,
                                       kernels::Device& device) {
  SSMD_ASSIGN_OR_RETURN(const auto first, Reader::Create(original, device));
  SSMD_ASSIGN_OR_RETURN(const auto second, Reader::Create(other, device));
  const auto most = static_cast<size_t>(std::min(first->room(), second->room()));
  const size_t room = rounding == StateRounding::kKept ? most : 1;
  const int64_t vocabulary = original.info().vocabulary;
  Tally tally;
  // The last token predicts nothing that is known.
  for (size_t begin = 0; begin + 1 < tokens.size(); begin += room) {
    const size_t end = std::min(begin + room, tokens.size() - 1);
    const std::vector<int32_t> piece(tokens.begin() + static_cast<std::ptrdiff_t>(begin),
                                     tokens.begin() + static_cast<std::ptrdiff_t>(end));
    const float* a = first->Read(piece);
    const float* b = second->Read(piece);
    if (rounding != StateRounding::kKept) second->RoundStates(rounding);
    for (size_t i = 0; i < piece.size(); ++i) {
      const auto row = static_cast<int64_t>(i) * vocabulary;
      tally.Add(LogSoftmax(a + row, vocabulary), LogSoftmax(b + row, vocabulary),
                tokens[begin + i + 1]);
    }
  }
  return tally.Result();
}

}  // namespace ssmd::bench
