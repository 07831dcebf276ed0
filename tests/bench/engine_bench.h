// Speed of a model without the server: prefill and decode of a batch of streams, driven straight
// through LanguageModel and StatePool, in rounds. Each slice of a round is held against what the
// machine could do just before and just after it, as a shared one does not keep still.
#ifndef SSMD_TESTS_BENCH_ENGINE_BENCH_H_
#define SSMD_TESTS_BENCH_ENGINE_BENCH_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/models/language_model.h"
#include "kernels/device.h"
#include "tests/bench/floor_probe.h"

namespace ssmd::bench {

struct EngineRun {
  int batch = 1;
  int prompt = 512;   // tokens of each stream
  int generate = 64;  // steps after it
  int rounds = 3;
  bool stepping = false;  // whether to take a prompt token by token as well
};

// A part of a round, in slices; of the machine, the means over them.
struct EnginePhase {
  double tok_s = 0;              // of all streams together
  double read_gb_s = 0;          // of the machine
  double peak_gop_s = 0;         // of the machine, in what multiplies the model's format
  double fraction_of_floor = 0;  // the floor's time by ours; 0: not known
  double fraction_in_turn = 0;   // the same of the floor in turn
  double cpu_us = 0;             // of this process, for a token
  double others_cpus = 0;        // that others kept busy meanwhile
};

struct EngineRound {
  EnginePhase prefill;
  EnginePhase decode;
};

// A prompt of one stream by whole chunks and by single tokens, and the greedy tokens after it.
struct Stepping {
  double prefill_tok_s = 0;
  double tok_s = 0;
  int equal_tokens = 0;  // before the first that differs, of EngineRun::generate
  int distinct_tokens = 0;
};

// The floor of a prompt or a step is the time that reading weights once and reading and writing
// states takes, or that of the arithmetic, matrix products and recurrences (but not Mamba's):
// whichever is longer. A layer's states are read
// after its first product and before its last, so what a layer can do at best is the floor in turn:
// the longer of reading weights and multiplying, and then reading and writing states.
struct EngineRow {
  EngineRun run;
  std::vector<EngineRound> rounds;
  double bytes_of_step = 0;          // weights, and states read and written
  double flops_of_prompt_token = 0;  // without the head
  std::optional<Stepping> stepping;
};

// Greedy, the sampling included. RESOURCE_EXHAUSTED when the states do not fit.
absl::StatusOr<EngineRow> MeasureEngine(const EngineRun& run, const FloorProbe& probe,
                                        kernels::Device& device, LanguageModel& model);

// Of a row's rounds: the middle one (the lower of two), and the ends.
struct Spread {
  double median = 0;
  double lowest = 0;
  double highest = 0;
};
Spread SpreadOf(const EngineRow& row, EnginePhase EngineRound::*phase, double EnginePhase::*figure);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_ENGINE_BENCH_H_
