#include "tests/bench/engine_bench.h"

#include <algorithm>
#include <functional>
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
  Streams(int count, LanguageModel& model, StatePool& pool)
      : model_(model), pool_(pool), next_(static_cast<size_t>(count), 0) {
    for (int i = 0; i < count; ++i) slots_.push_back(pool.Acquire());
  }

  // Feeds a stream its prompt in chunks of the token budget, as the scheduler does.
  void Prefill(size_t stream, int tokens) {
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
    RowDraws draws;
    draws.draws.resize(streams.size());
    draws.keep.resize(streams.size());
    for (size_t i = 0; i < streams.size(); ++i) {
      draws.draws[i].temperature = 0;
      draws.rows.push_back(static_cast<int>(i));
    }
    model_.Sample(0, static_cast<int>(streams.size()), &draws);
    for (size_t i = 0; i < streams.size(); ++i) {
      next_[streams[i]] = std::max(0, draws.draws[i].token_id);
    }
  }

  LanguageModel& model_;
  StatePool& pool_;
  std::vector<Slot> slots_;
  std::vector<int32_t> next_;
  int64_t position_ = 0;
};

// How long the work goes on between two looks at the machine.
constexpr double kSliceSeconds = 0.2;

Moment Mean(const Moment& a, const Moment& b) {
  return {(a.read_gb_s + b.read_gb_s) / 2, (a.body_gop_s + b.body_gop_s) / 2,
          (a.head_gop_s + b.head_gop_s) / 2};
}

// Of a step, and of a stream's prompt.
struct EngineWork {
  Work step;
  Work prompt;
};

EngineWork WorkOf(const EngineRun& run, const LanguageModel& model) {
  const ModelInfo& info = model.info();
  const double head_flops = 2.0 * info.vocabulary * info.d_model;
  const double body_flops = 2.0 * static_cast<double>(info.parameters) - head_flops;
  const auto weights = static_cast<double>(info.weight_bytes);
  const double state = 2.0 * static_cast<double>(model.state_layout().bytes_per_slot());
  return {{weights, run.batch * state, run.batch * body_flops, run.batch * head_flops},
          {weights, state, run.prompt * body_flops, head_flops}};
}

// A part of a round: `pieces` pieces, each `work`, that make `tokens` together. `run(piece)` does
// one.
struct Part {
  double tokens;
  int pieces;
  const Work& work;
  std::function<void(int)> run;
};

// Works in slices of some 0.2 s, with a look at the machine before and after each. `before`: as it
// was just now; becomes what it is afterwards.
EnginePhase MeasurePhase(const Part& part, const std::function<Moment()>& look, Moment* before) {
  double work_s = 0, floor_s = 0, in_turn_s = 0, cpu_s = 0, others_s = 0;
  EnginePhase phase;
  int slices = 0;
  for (int done = 0; done < part.pieces; ++slices) {
    const double all_start = CpuSecondsOfAll();
    const double cpu_start = CpuSeconds();
    const double start = Seconds();
    const int first = done;
    do {
      part.run(done++);
    } while (done < part.pieces && Seconds() - start < kSliceSeconds);
    work_s += Seconds() - start;
    const double cpu = CpuSeconds() - cpu_start;
    cpu_s += cpu;
    others_s += std::max(0.0, CpuSecondsOfAll() - all_start - cpu);
    const Moment after = look();
    const Moment now = Mean(*before, after);
    *before = after;
    floor_s += (done - first) * now.Floor(part.work);
    in_turn_s += (done - first) * now.FloorInTurn(part.work);
    phase.read_gb_s += now.read_gb_s;
    phase.peak_gop_s += now.body_gop_s;
  }
  phase.tok_s = part.tokens / work_s;
  phase.read_gb_s /= slices;
  phase.peak_gop_s /= slices;
  phase.fraction_of_floor = floor_s / work_s;
  phase.fraction_in_turn = in_turn_s / work_s;
  phase.cpu_us = 1e6 * cpu_s / part.tokens;
  phase.others_cpus = others_s / work_s;
  return phase;
}

EngineRound MeasureRound(const EngineRun& run, const EngineWork& work, const FloorProbe& probe,
                         LanguageModel& model, StatePool& pool) {
  const auto look = [&] { return probe.Look(model.info().weights); };
  Streams streams(run.batch, model, pool);
  EngineRound round;
  Moment now = look();
  round.prefill =
      MeasurePhase({1.0 * run.batch * run.prompt, run.batch, work.prompt,
                    [&](int stream) { streams.Prefill(static_cast<size_t>(stream), run.prompt); }},
                   look, &now);
  // A prompt is bound by products, mostly, whose peak may not be known.
  if (now.body_gop_s <= 0) round.prefill.fraction_of_floor = round.prefill.fraction_in_turn = 0;
  round.decode = MeasurePhase({1.0 * run.batch * run.generate, run.generate, work.step,
                               [&](int /*step*/) { streams.Decode(); }},
                              look, &now);
  return round;
}

}  // namespace

absl::StatusOr<EngineRow> MeasureEngine(const EngineRun& run, const FloorProbe& probe,
                                        kernels::Device& device, LanguageModel& model) {
  SSMD_ASSIGN_OR_RETURN(std::unique_ptr<StatePool> pool,
                        StatePool::Create(&device, model.state_layout(), run.batch));
  {
    Streams warm_up(1, model, *pool);
    warm_up.Prefill(0, std::min(run.prompt, 64));
    for (int i = 0; i < 3; ++i) warm_up.Decode();
  }
  const EngineWork work = WorkOf(run, model);
  EngineRow row;
  row.run = run;
  row.bytes_of_step = work.step.weight_bytes + work.step.state_bytes;
  row.flops_of_prompt_token = work.prompt.body_flops / run.prompt;
  for (int round = 0; round < run.rounds; ++round) {
    row.rounds.push_back(MeasureRound(run, work, probe, model, *pool));
  }
  return row;
}

Spread SpreadOf(const EngineRow& row, EnginePhase EngineRound::*phase,
                double EnginePhase::*figure) {
  std::vector<double> values;
  values.reserve(row.rounds.size());
  for (const EngineRound& round : row.rounds) values.push_back(round.*phase.*figure);
  std::sort(values.begin(), values.end());
  return {values[(values.size() - 1) / 2], values.front(), values.back()};
}

}  // namespace ssmd::bench
