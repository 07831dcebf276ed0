// Speed of a model without the server: prefill and decode of a batch of streams, driven straight
// through LanguageModel and StatePool.
#ifndef SSMD_TESTS_BENCH_ENGINE_BENCH_H_
#define SSMD_TESTS_BENCH_ENGINE_BENCH_H_

#include <string>

#include "absl/status/statusor.h"
#include "engine/models/language_model.h"
#include "kernels/device.h"
#include "tests/bench/roofline.h"

namespace ssmd::bench {

struct EngineRun {
  int batch = 1;
  int prompt = 512;   // tokens of each stream
  int generate = 64;  // steps after it
};

struct EngineRow {
  EngineRun run;
  double prefill_tok_s = 0;  // of all streams together
  double decode_tok_s = 0;
  double gb_s = 0;                       // of decode: weights, and states read and written
  double gflop_s = 0;                    // of prefill: matrix products, without the head
  double fraction_of_floor = 0;          // decode, of the faster of what memory and FMA allow
  double prefill_fraction_of_floor = 0;  // likewise
};

// Greedy, the sampling included. RESOURCE_EXHAUSTED when the states do not fit.
absl::StatusOr<EngineRow> MeasureEngine(const EngineRun& run, const Roofline& roofline,
                                        kernels::Device& device, LanguageModel& model);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_ENGINE_BENCH_H_
