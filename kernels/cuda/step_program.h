// The steps of a model on a GPU. Indices go to fixed places in its memory; a step that decodes is
// padded to one of a few sizes, recorded as a graph the first time, and replayed from then on. A
// step with prompts is put on the stream op by op: it is long, and seldom like another.
//
// Thread-compatible, as its device.
#ifndef SSMD_KERNELS_CUDA_STEP_PROGRAM_H_
#define SSMD_KERNELS_CUDA_STEP_PROGRAM_H_

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "kernels/cuda/runtime.h"
#include "kernels/cuda/staging.h"
#include "kernels/device.h"

namespace ssmd::kernels::cuda {

// Rows that a step of `rows` decoding sessions is padded to, where `most` are allowed: the sizes
// are powers of two and their halves between, so that at most a third of the rows is padding.
int64_t PaddedRows(int64_t rows, int64_t most);

class GraphProgram final : public StepProgram {
 public:
  // `gpu` and `stream` outlive it. Null when there is not enough memory.
  static std::unique_ptr<GraphProgram> Make(Gpu& gpu, Stream& stream, int64_t max_rows);

  void Run(const StepIndices& host, const Ops& ops) override;

  // Recorded sizes, those that could not be recorded left out.
  int recorded() const;

 private:
  GraphProgram(Stream& stream, int64_t max_rows) : stream_(stream), max_rows_(max_rows) {}
  StepIndices Stage(const StepIndices& host);
  void RunRecorded(const StepIndices& step, const Ops& ops);

  Stream& stream_;
  const int64_t max_rows_;
  Staging staging_;
  // By rows and rows of logits; null where recording failed.
  std::map<std::pair<int64_t, int64_t>, std::unique_ptr<Graph>> graphs_;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_STEP_PROGRAM_H_
