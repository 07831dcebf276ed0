#include "tests/bench/engine_bench.h"

#include <algorithm>
#include <functional>
#include <set>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/state/state_pool.h"
#include "tests/bench/seconds.h"
#include "tests/bench/streams.h"

namespace ssmd::bench {
namespace {

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

// Of a session's states, all of which a step reads. Of a delay line it writes a row, of the others
// all.
double StateBytes(const StateLayout& layout) {
  double bytes = 0;
  for (const StateFieldSpec& field : layout.fields()) {
    const bool delays = field.kind == StateKind::kDelayLine;
    const auto read = static_cast<double>(field.bytes);
    bytes += read + read / (delays ? static_cast<double>(field.shape[2]) : 1);
  }
  return bytes;
}

EngineWork WorkOf(const EngineRun& run, const LanguageModel& model) {
  const ModelInfo& info = model.info();
  const double head_flops = 2.0 * info.vocabulary * info.d_model;
  const double body_flops = 2.0 * static_cast<double>(info.matrix_elements + info.scan_operations);
  const auto weights = static_cast<double>(info.weight_bytes);
  const double state = StateBytes(model.state_layout());
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
                    [&](int stream) {
                      streams.Prefill(static_cast<size_t>(stream), run.prompt, model.max_rows());
                    }},
                   look, &now);
  // A prompt is bound by products, mostly, whose peak may not be known.
  if (now.body_gop_s <= 0) round.prefill.fraction_of_floor = round.prefill.fraction_in_turn = 0;
  round.decode = MeasurePhase({1.0 * run.batch * run.generate, run.generate, work.step,
                               [&](int /*step*/) { streams.Decode(); }},
                              look, &now);
  return round;
}

// A prompt in chunks of `most_rows`, and what follows it. Returns tokens a second of the prompt.
double MeasurePrompt(const EngineRun& run, int most_rows, LanguageModel& model, StatePool& pool,
                     std::vector<int32_t>* answer) {
  Streams streams(1, model, pool);
  const double start = Seconds();
  streams.Prefill(0, run.prompt, most_rows);
  const double seconds = Seconds() - start;
  for (int i = 0; i < run.generate; ++i) {
    answer->push_back(streams.next(0));
    streams.Decode();
  }
  return run.prompt / seconds;
}

Stepping MeasureStepping(const EngineRun& run, LanguageModel& model, StatePool& pool) {
  std::vector<int32_t> whole, stepped;
  Stepping stepping;
  stepping.prefill_tok_s = MeasurePrompt(run, model.max_rows(), model, pool, &whole);
  stepping.tok_s = MeasurePrompt(run, 1, model, pool, &stepped);
  const auto [differing, end] = std::mismatch(whole.begin(), whole.end(), stepped.begin());
  stepping.equal_tokens = static_cast<int>(differing - whole.begin());
  stepping.distinct_tokens = static_cast<int>(std::set(whole.begin(), whole.end()).size());
  return stepping;
}

}  // namespace

absl::StatusOr<EngineRow> MeasureEngine(const EngineRun& run, const FloorProbe& probe,
                                        kernels::Device& device, LanguageModel& model) {
  SSMD_ASSIGN_OR_RETURN(std::unique_ptr<StatePool> pool,
                        StatePool::Create(&device, model.state_layout(), run.batch));
  {
    Streams warm_up(1, model, *pool);
    warm_up.Prefill(0, std::min(run.prompt, 64), model.max_rows());
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
  if (run.stepping) row.stepping = MeasureStepping(run, model, *pool);
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
