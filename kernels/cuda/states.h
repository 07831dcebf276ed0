// What kernels over segments share: where a ring lies, its columns of a ring, the runs of a sum
// over state indices, and rows of B and C in shared memory.
#ifndef SSMD_KERNELS_CUDA_STATES_H_
#define SSMD_KERNELS_CUDA_STATES_H_

#include "kernels/cuda/simt.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda {

// Shared memory that every GPU from 8.0 on gives a block.
inline constexpr size_t kSharedBytesMax = 99 * 1024;

// A field in f32, as rings are.
SIMT_DEVICE float* FloatsAt(const StateField& field, int32_t slot) {
  return reinterpret_cast<float*>(field.slab + static_cast<size_t>(slot) * field.slot_bytes +
                                  field.offset);
}

// And one in f64.
SIMT_DEVICE double* DoublesAt(const StateField& field, int32_t slot) {
  return reinterpret_cast<double*>(field.slab + static_cast<size_t>(slot) * field.slot_bytes +
                                   field.offset);
}

// Of a ring of columns: the one of the input at `position`, which may be negative.
SIMT_DEVICE int64_t RingColumn(int64_t position, int64_t columns) {
  const int64_t column = position % columns;
  return column < 0 ? column + columns : column;
}

// One of the four runs of ceil(N/4) state indices in which C·h is added up.
inline constexpr int kRuns = 4;
struct StateRun {
  int begin, count;
};
SIMT_DEVICE StateRun RunOf(int run, int state_size) {
  const int length = (state_size + kRuns - 1) / kRuns;
  const int begin = run * length < state_size ? run * length : state_size;
  return {begin, begin + length < state_size ? length : state_size - begin};
}

// B and C of some tokens that are taken together, which lie side by side.
inline constexpr int kTokensTogether = 4;
struct alignas(16) TokenRows {
  float b[kMaxStateSize][kTokensTogether];
  float c[kMaxStateSize][kTokensTogether];
};
// Of `tokens` of them. The block syncs before it reads.
SIMT_DEVICE void LoadTokenRows(const Block& block, const float* b, int64_t b_stride, const float* c,
                               int64_t c_stride, int state_size, int tokens, TokenRows& rows) {
  for (int n = block.thread(); n < state_size; n += block.threads()) {
    for (int t = 0; t < tokens; ++t) {
      rows.b[n][t] = b[t * b_stride + n];
      rows.c[n][t] = c[t * c_stride + n];
    }
  }
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_STATES_H_
