#include "tests/bench/engine_bench.h"

#include <algorithm>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/models/batch.h"
#include "engine/state/state_pool.h"
#include "tests/bench/seconds.h"

namespace ssmd::bench {
namespace {

// Streams that run in step, each in a slot of its own.
class Streams {
 public:
  Streams(int count, kernels::Device& device, LanguageModel& model, StatePool& pool)
      : device_(device), model_(model), pool_(pool), next_(static_cast<size_t>(count), 0) {
    for (int i = 0; i < count; ++i) slots_.push_back(pool.Acquire());
  }

  // Feeds each stream its prompt, one after the other, in chunks of the token budget, as the
  // scheduler does.
  void Prefill(int tokens) {
    for (size_t stream = 0; stream < slots_.size(); ++stream) {
      for (int done = 0; done < tokens;) {
        const int length = std::min(tokens - done, model_.max_rows());
        Batch batch;
        for (int i = 0; i < length; ++i) batch.token_ids.push_back(PromptToken(stream, done + i));
        AddSegment(stream, 0, length, done, batch);
        done += length;
        if (done == tokens) batch.logit_rows = {length - 1};
        model_.Forward(batch, pool_);
        if (done == tokens) Sample({stream});
      }
    }
    position_ = tokens;
  }

  // One token of every stream.
  void Decode() {
    const auto budget = static_cast<size_t>(std::min(model_.max_rows(), model_.max_logit_rows()));
    for (size_t first = 0; first < slots_.size(); first += budget) {
      Batch batch;
      std::vector<size_t> streams;
      for (size_t i = first; i < std::min(first + budget, slots_.size()); ++i) {
        const auto row = static_cast<int32_t>(streams.size());
        batch.token_ids.push_back(next_[i]);
        batch.logit_rows.push_back(row);
        AddSegment(i, row, 1, position_, batch);
        streams.push_back(i);
      }
      model_.Forward(batch, pool_);
      Sample(streams);
    }
    ++position_;
  }

 private:
  int32_t PromptToken(size_t stream, int i) const {
    return static_cast<int32_t>((stream * 7919 + static_cast<size_t>(i) * 104729 + 1) %
                                static_cast<size_t>(model_.info().vocabulary));
  }

  void AddSegment(size_t stream, int32_t row, int length, int64_t position, Batch& batch) const {
    const int32_t slot = slots_[stream].index();
    batch.segments.push_back({row, length, slot, slot, position});
  }

  void Sample(const std::vector<size_t>& streams) {
    const float* logits = model_.Logits(0, static_cast<int>(streams.size()));
    const int64_t vocabulary = model_.info().vocabulary;
    std::vector<kernels::SampleRow> rows(streams.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i].logits = logits + static_cast<int64_t>(i) * vocabulary;
      rows[i].temperature = 0;
    }
    device_.Sample({vocabulary, rows.data(), static_cast<int64_t>(rows.size())});
    for (size_t i = 0; i < rows.size(); ++i) next_[streams[i]] = std::max(0, rows[i].token_id);
  }

  kernels::Device& device_;
  LanguageModel& model_;
  StatePool& pool_;
  std::vector<Slot> slots_;
  std::vector<int32_t> next_;
  int64_t position_ = 0;
};

// The work of a decode step and of a prompt's tokens, for the floors.
struct Work {
  double decode_bytes;   // a step: weights once, each state read and written
  double decode_flops;   // a step: matrix products, head included
  double prefill_flops;  // a token: the head is left out
};

Work WorkOf(const EngineRun& run, const LanguageModel& model) {
  const ModelInfo& info = model.info();
  const double parameters = static_cast<double>(info.parameters);
  const double head = static_cast<double>(info.vocabulary) * info.d_model;
  Work work;
  work.decode_bytes = static_cast<double>(info.weight_bytes) +
                      2.0 * run.batch * static_cast<double>(model.state_layout().bytes_per_slot());
  work.decode_flops = 2 * parameters * run.batch;
  work.prefill_flops = 2 * (parameters - head);
  return work;
}

}  // namespace

absl::StatusOr<EngineRow> MeasureEngine(const EngineRun& run, const Roofline& roofline,
                                        kernels::Device& device, LanguageModel& model) {
  SSMD_ASSIGN_OR_RETURN(std::unique_ptr<StatePool> pool,
                        StatePool::Create(&device, model.state_layout(), run.batch));
  {
    Streams warm_up(1, device, model, *pool);
    warm_up.Prefill(std::min(run.prompt, 64));
    for (int i = 0; i < 3; ++i) warm_up.Decode();
  }
  Streams streams(run.batch, device, model, *pool);
  const double start = Seconds();
  streams.Prefill(run.prompt);
  const double prefilled = Seconds();
  for (int step = 0; step < run.generate; ++step) streams.Decode();
  const double prefill_s = prefilled - start;
  const double step_s = (Seconds() - prefilled) / run.generate;

  const Work work = WorkOf(run, model);
  EngineRow row;
  row.run = run;
  row.prefill_tok_s = run.batch * run.prompt / prefill_s;
  row.decode_tok_s = run.batch / step_s;
  row.gb_s = work.decode_bytes / step_s / 1e9;
  row.gflop_s = work.prefill_flops * row.prefill_tok_s / 1e9;
  const double peak = roofline.peak_gop_s(model.info().weights) * 1e9;
  const double step_floor_s =
      std::max(work.decode_bytes / (roofline.read_gb_s * 1e9), work.decode_flops / peak);
  row.fraction_of_floor = step_floor_s / step_s;
  row.prefill_fraction_of_floor = row.gflop_s * 1e9 / peak;
  return row;
}

}  // namespace ssmd::bench
