// Streams that run through a model in step, each in a slot of its own, the sampling included:
// greedy.
#ifndef SSMD_TESTS_BENCH_STREAMS_H_
#define SSMD_TESTS_BENCH_STREAMS_H_

#include <cstdint>
#include <vector>

#include "engine/models/batch.h"
#include "engine/models/language_model.h"
#include "engine/state/state_pool.h"

namespace ssmd::bench {

class Streams {
 public:
  // REQUIRES: `pool` has as many free slots. Both outlive this.
  Streams(int count, LanguageModel& model, StatePool& pool);

  // Feeds a stream its prompt, in chunks of `most_rows` tokens: the scheduler's are the model's
  // max_rows().
  void Prefill(size_t stream, int tokens, int most_rows);
  // One token of every stream.
  void Decode();

  // The token that was drawn last.
  int32_t next(size_t stream) const { return next_[stream]; }

 private:
  int32_t PromptToken(size_t stream, int i) const;
  void AddSegment(size_t stream, int32_t row, int length, int64_t position, Batch& batch) const;
  void Sample(const std::vector<size_t>& streams);

  LanguageModel& model_;
  StatePool& pool_;
  std::vector<Slot> slots_;
  std::vector<int32_t> next_;
  int64_t position_ = 0;
};

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_STREAMS_H_
