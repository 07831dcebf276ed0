// A "language model" whose state is a hash of the tokens that it has consumed and whose logits are
// a function of that hash: a token that is lost, fed twice, fed out of order or fed into another
// session's slot changes everything that is sampled after it. It also checks what the kernels'
// contract requires of a step, and counts what breaks it.
#ifndef SSMD_TESTS_UNIT_SCHEDULE_FAKE_MODEL_H_
#define SSMD_TESTS_UNIT_SCHEDULE_FAKE_MODEL_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "engine/models/language_model.h"

namespace ssmd::testing {

inline uint64_t Mix(uint64_t a, uint64_t b) {
  uint64_t x = a * 0x9E3779B97F4A7C15u + b + 0x632BE59BD9B4E019u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

struct FakeState {
  uint64_t hash = 0;
  uint64_t consumed = 0;

  void Consume(int32_t token) {
    hash = Mix(hash, static_cast<uint64_t>(token) + 1);
    ++consumed;
  }
};

// Shared with the test, which outlives the model.
struct FakeProbe {
  std::atomic<int> violations{0};
  std::atomic<int64_t> tokens_fed{0};
  std::atomic<int> most_rows{0};
  std::function<void()> before_forward;  // on the step thread; may block it
};

class FakeModel final : public LanguageModel {
 public:
  static constexpr int32_t kVocabulary = 29;
  static constexpr int kWidth = 3;
  static constexpr int32_t kEos = 0;
  static constexpr int32_t kPoison = 28;  // after this token every logit is NaN

  FakeModel(FakeProbe* probe, int max_rows, int max_logit_rows = 3)
      : probe_(probe), max_rows_(max_rows), max_logit_rows_(max_logit_rows) {
    hash_ = layout_.Add(0, "hash", StateKind::kSsm, {4});
    layout_.Add(0, "padding", StateKind::kConvRing, {3});
    info_.architecture = "fake";
    info_.weights = info_.state = "f32";
    info_.layers = 1;
    info_.d_model = kWidth;
    info_.vocabulary = kVocabulary;
    info_.eos_token_ids = {kEos};
    logits_.resize(static_cast<size_t>(max_logit_rows) * kVocabulary);
  }

  const ModelInfo& info() const override { return info_; }
  const StateLayout& state_layout() const override { return layout_; }
  int max_rows() const override { return max_rows_; }
  int max_logit_rows() const override { return max_logit_rows_; }

  static void FillLogits(const std::pair<FakeState, bool>& state, float* out) {
    for (int32_t token = 0; token < kVocabulary; ++token) {
      const uint64_t bits = Mix(state.first.hash, static_cast<uint64_t>(token) + 1000);
      out[token] = static_cast<float>(bits >> 40) / float{1 << 24} * 8 - 4;
      if (state.second) out[token] = std::numeric_limits<float>::quiet_NaN();
      // Ends and poison come when asked for, not by chance.
      if (token == kPoison) out[token] = -1e9f;
    }
  }

  static void FillHidden(const std::pair<FakeState, bool>& state, float* out) {
    for (int i = 0; i < kWidth; ++i) {
      const uint64_t bits = Mix(state.first.hash, static_cast<uint64_t>(i) + 5000);
      out[i] = static_cast<float>(bits >> 40) / float{1 << 24} * 8 - 4;
      if (state.second) out[i] = std::numeric_limits<float>::quiet_NaN();
    }
  }

  void Forward(const Batch& batch, StatePool& pool) override {
    if (probe_->before_forward) probe_->before_forward();
    Require(batch.rows() >= 1 && batch.rows() <= max_rows_);
    if (batch.rows() > probe_->most_rows) probe_->most_rows = batch.rows();
    std::set<int32_t> written;
    for (const auto& segment : batch.segments) Require(written.insert(segment.dst_slot).second);
    std::map<int, std::pair<FakeState, bool>> rows;
    int next_row = 0;
    for (const auto& segment : batch.segments) {
      Require(segment.first_row == next_row && segment.length >= 1);
      Require(segment.src_slot == segment.dst_slot || written.count(segment.src_slot) == 0);
      next_row += segment.length;
      RunSegment(batch, segment, pool, &rows);
    }
    Require(next_row == batch.rows());
    wanted_.clear();
    for (const int32_t row : batch.logit_rows) wanted_.push_back(rows.at(row));
    probe_->tokens_fed += batch.rows();
  }

  void Hidden(int first, int count, float* hidden) override {
    Require(count >= 1);
    for (int i = 0; i < count; ++i) {
      FillHidden(wanted_.at(static_cast<size_t>(first) + static_cast<size_t>(i)),
                 hidden + i * kWidth);
    }
  }

  const float* Logits(int first, int count) override {
    Require(count >= 1 && count <= max_logit_rows_);
    for (int i = 0; i < count; ++i) {
      FillLogits(wanted_.at(static_cast<size_t>(first) + static_cast<size_t>(i)),
                 logits_.data() + i * kVocabulary);
    }
    return logits_.data();
  }

  const float* Sample(int first, int count, RowDraws* draws) override {
    Require(draws->keep.size() == static_cast<size_t>(count));
    Logits(first, count);
    for (size_t i = 0; i < draws->draws.size(); ++i) {
      draws->draws[i].logits = logits_.data() + draws->rows.at(i) * kVocabulary;
    }
    device_->Sample({kVocabulary, draws->draws.data(), static_cast<int64_t>(draws->draws.size())});
    for (int i = 0; i < count; ++i) {  // who did not ask for them must not read them
      if (draws->keep[static_cast<size_t>(i)] != 0) continue;
      std::fill_n(logits_.data() + i * kVocabulary, kVocabulary,
                  std::numeric_limits<float>::quiet_NaN());
    }
    return logits_.data();
  }

 private:
  void Require(bool holds) {
    if (!holds) ++probe_->violations;
  }
  void RunSegment(const Batch& batch, const kernels::Segment& segment, StatePool& pool,
                  std::map<int, std::pair<FakeState, bool>>* rows) {
    const auto field = pool.field(hash_);
    FakeState state = *reinterpret_cast<const FakeState*>(field.at(segment.src_slot));
    Require(static_cast<int64_t>(state.consumed) == segment.position);
    for (int i = 0; i < segment.length; ++i) {
      const int row = segment.first_row + i;
      const int32_t token = batch.token_ids[static_cast<size_t>(row)];
      state.Consume(token);
      (*rows)[row] = {state, token == kPoison};
    }
    *reinterpret_cast<FakeState*>(field.at(segment.dst_slot)) = state;
  }

  FakeProbe* const probe_;
  const std::unique_ptr<kernels::Device> device_ = kernels::MakeCpuDevice({std::nullopt, 1});
  const int max_rows_;
  const int max_logit_rows_;
  ModelInfo info_;
  StateLayout layout_;
  StatePlace hash_;
  std::vector<std::pair<FakeState, bool>> wanted_;
  std::vector<float> logits_;
};

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_UNIT_SCHEDULE_FAKE_MODEL_H_
