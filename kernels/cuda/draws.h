// What Sample and Logprobs take to a GPU and bring back: rows go there with their adjustments, some
// at a time, and tokens come back.
//
// Thread-compatible, as its device.
#ifndef SSMD_KERNELS_CUDA_DRAWS_H_
#define SSMD_KERNELS_CUDA_DRAWS_H_

#include <cstdint>

#include "kernels/cuda/runtime.h"
#include "kernels/cuda/staging.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda {

class Draws {
 public:
  // `gpu` and `stream` outlive it.
  Draws(Gpu& gpu, Stream& stream) : gpu_(gpu), stream_(stream) {}

  // Makes room for rows of such a vocabulary. False when there is not enough memory.
  bool Reserve(int64_t vocabulary);

  // REQUIRES: a Reserve for as many tokens or more was true. Logits are device memory.
  void Sample(const SampleParams& params);
  void Logprobs(const LogprobParams& params);

 private:
  int64_t SendDraws(const SampleParams& params, int64_t first);

  Gpu& gpu_;
  Stream& stream_;
  int64_t vocabulary_ = 0;
  Staging staging_;  // rows, and adjustments behind them
  Buffer results_;   // pinned
  Buffer top_;       // (kRows, kMaxTopLogprobs)
  Buffer scratch_;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_DRAWS_H_
