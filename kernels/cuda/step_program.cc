#include "kernels/cuda/step_program.h"

#include <algorithm>
#include <cstring>

namespace ssmd::kernels::cuda {
namespace {

// Bytes of the indices of a step: segments, then token ids, then rows of logits.
size_t IndexBytes(int64_t segments, int64_t rows, int64_t logit_rows) {
  return static_cast<size_t>(segments) * sizeof(Segment) +
         static_cast<size_t>(rows + logit_rows) * sizeof(int32_t);
}

// The counts of a step as they are run.
StepIndices Padded(const StepIndices& host, int64_t max_rows) {
  StepIndices step = host;
  if (!host.decodes()) return step;
  step.rows = step.segment_count = PaddedRows(host.rows, max_rows);
  if (host.logit_row_count > 0) step.logit_row_count = step.rows;
  return step;
}

template <typename T>
T* Place(const T* from, int64_t count, int64_t padded, const T& padding, T* to) {
  std::copy(from, from + count, to);
  std::fill(to + count, to + padded, padding);
  return to + padded;
}

}  // namespace

int64_t PaddedRows(int64_t rows, int64_t most) {
  int64_t size = 1;
  while (size < rows) {
    const int64_t half_more = size + size / 2;
    size = half_more >= rows && half_more > size ? half_more : 2 * size;
  }
  return std::clamp(size, rows, std::max(rows, most));
}

std::unique_ptr<GraphProgram> GraphProgram::Make(Gpu& gpu, Stream& stream, int64_t max_rows) {
  std::unique_ptr<GraphProgram> program(new GraphProgram(stream, max_rows));
  if (!program->staging_.Reserve(gpu, IndexBytes(max_rows, max_rows, max_rows))) return nullptr;
  return program;
}

int GraphProgram::recorded() const {
  return static_cast<int>(std::count_if(graphs_.begin(), graphs_.end(),
                                        [](const auto& entry) { return entry.second != nullptr; }));
}

StepIndices GraphProgram::Stage(const StepIndices& host) {
  StepIndices step = Padded(host, max_rows_);
  std::byte* memory = staging_.host();
  auto* segments = reinterpret_cast<Segment*>(memory);
  auto* tokens = reinterpret_cast<int32_t*>(
      Place(host.segments, host.segment_count, step.segment_count, Segment{}, segments));
  Segment* padding = segments + host.segment_count;
  for (int64_t row = host.rows; host.decodes() && row < step.rows; ++row, ++padding) {
    padding->first_row = static_cast<int32_t>(row);
    padding->length = 1;
  }
  int32_t* logit_rows = Place(host.token_ids, host.rows, step.rows, int32_t{0}, tokens);
  Place(host.logit_rows, host.logit_row_count, step.logit_row_count, int32_t{0}, logit_rows);
  staging_.Send(stream_, IndexBytes(step.segment_count, step.rows, step.logit_row_count));

  step.segments = reinterpret_cast<const Segment*>(staging_.device());
  step.token_ids = reinterpret_cast<const int32_t*>(step.segments + step.segment_count);
  step.logit_rows = step.token_ids + step.rows;
  return step;
}

void GraphProgram::Run(const StepIndices& host, const Ops& ops) {
  const StepIndices step = Stage(host);
  if (step.decodes()) {
    RunRecorded(step, ops);
  } else {
    ops(step);
  }
}

void GraphProgram::RunRecorded(const StepIndices& step, const Ops& ops) {
  const auto [entry, is_new] = graphs_.try_emplace({step.rows, step.logit_row_count});
  std::unique_ptr<Graph>& graph = entry->second;
  if (is_new && stream_.BeginRecording()) {
    ops(step);
    graph = stream_.EndRecording();
  }
  if (graph != nullptr) {
    stream_.Replay(*graph);
  } else {
    ops(step);
  }
}

}  // namespace ssmd::kernels::cuda
