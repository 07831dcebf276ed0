// The order in which the CPU device keeps a weight matrix that is not quantised: panels of 16
// outputs, and within a panel one line of outputs for each input, so that a matrix product streams
// a panel from front to back.
//
//   f32   [outputs/16][inputs][16]
//   bf16  [outputs/16][inputs/2][16][2]: the 32-bit word of an output holds an even input in its
//         low half and the next one in its high half, so that widening is one shift or one mask,
//         without a shuffle
//
// Outputs and inputs that pad a matrix are zero.
#ifndef SSMD_KERNELS_CPU_PACK_H_
#define SSMD_KERNELS_CPU_PACK_H_

#include "kernels/cpu/thread_pool.h"
#include "kernels/tensor.h"

namespace ssmd::kernels::cpu {

inline constexpr int64_t kPanelOutputs = 16;

int64_t PanelCount(int64_t outputs);
int64_t PanelBytes(int64_t inputs, WeightFormat format);
// Index of element (output, input) in PackedMatrix::data, in units of the format's elements.
int64_t PackedIndex(const PackedMatrix& matrix, int64_t output, int64_t input);

// Fills matrix.data, which has room for it and is zero. False when other memory ran out.
bool PackPanels(const MatrixSource& source, ThreadPool& pool, PackedMatrix& matrix);

// out[k] = element (output, k), for all inputs.
void UnpackRow(const PackedMatrix& matrix, int64_t output, float* out);

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_PACK_H_
