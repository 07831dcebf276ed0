// What the launches of a draw (sample.cu) leave for each other, a row: where the parts of the
// vocabulary have their largest logits, what the draw is, scores, and the best of each part.
#ifndef SSMD_KERNELS_CUDA_SAMPLE_SCRATCH_H_
#define SSMD_KERNELS_CUDA_SAMPLE_SCRATCH_H_

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/draw_math.h"
#include "kernels/cuda/draw_select.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda {

// Tokens of a part: eight for each thread of the block that looks at it.
inline constexpr int64_t kPartTokens = 2048;
inline constexpr int kPartThreads = 256;

// A row's draw once its largest logit is known.
struct DrawPlan {
  bool races;  // false: the token is settled, or there is none
  Cut cut;     // of top_k and top_p
};

// The best token of a part, as numbers of which the larger one wins.
struct Runner {
  uint64_t score = 0;  // the ordered key of score + Gumbel number; 0: none
  uint64_t token = 0;  // ~id
};

class SampleScratch {
 public:
  SIMT_BOTH SampleScratch(std::byte* data, int64_t vocabulary)
      : data_(data), vocabulary_(vocabulary) {}

  SIMT_BOTH int64_t parts() const { return (vocabulary_ + kPartTokens - 1) / kPartTokens; }
  SIMT_BOTH int64_t row_bytes() const {
    return WholeLines(scores_bytes() + parts() * kPartBytes +
                      static_cast<int64_t>(sizeof(DrawPlan)));
  }

  // (vocabulary): logits, where they were adjusted, then scores.
  SIMT_BOTH float* scores(int64_t row) const { return reinterpret_cast<float*>(at(row)); }
  // (parts): the place of the largest logit.
  SIMT_BOTH uint64_t* places(int64_t row) const {
    return reinterpret_cast<uint64_t*>(at(row) + scores_bytes());
  }
  // (parts)
  SIMT_BOTH Runner* runners(int64_t row) const {
    return reinterpret_cast<Runner*>(places(row) + parts());
  }
  SIMT_BOTH DrawPlan* plan(int64_t row) const {
    return reinterpret_cast<DrawPlan*>(runners(row) + parts());
  }

  SIMT_BOTH TokenRange part(int64_t index) const {
    const int64_t begin = index * kPartTokens;
    const int64_t end = begin + kPartTokens;
    return {static_cast<int32_t>(begin),
            static_cast<int32_t>(end < vocabulary_ ? end : vocabulary_)};
  }
  SIMT_BOTH TokenRange all() const { return {0, static_cast<int32_t>(vocabulary_)}; }

 private:
  static constexpr int64_t kPartBytes = sizeof(uint64_t) + sizeof(Runner);

  SIMT_BOTH static int64_t WholeLines(int64_t bytes) { return (bytes + 127) / 128 * 128; }
  SIMT_BOTH int64_t scores_bytes() const {
    return WholeLines(vocabulary_ * static_cast<int64_t>(sizeof(float)));
  }
  SIMT_BOTH std::byte* at(int64_t row) const { return data_ + row * row_bytes(); }

  std::byte* data_;
  int64_t vocabulary_;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_SAMPLE_SCRATCH_H_
