// The order in which the CPU device keeps a weight matrix: panels of 64 outputs, and within a panel
// one run of outputs for each input, so that a matrix product streams it from front to back and
// loads whole cache lines.
//
//   f32   [outputs/64][inputs][64]; the last panel is as narrow as a multiple of 16 allows
//   bf16  the same with 32-output lines (so the last panel is a multiple of 32), in which the
//   32-bit
//         word i holds output i in its low half and output i + 16 in its high half: widening is one
//         shift or one mask, without a shuffle
//
// Outputs that pad a panel are zero.
#ifndef SSMD_KERNELS_CPU_PACK_H_
#define SSMD_KERNELS_CPU_PACK_H_

#include "kernels/cpu/thread_pool.h"
#include "kernels/tensor.h"

namespace ssmd::kernels::cpu {

inline constexpr int64_t kPanelOutputs = 64;

int64_t PanelCount(int64_t outputs);
// Outputs that panel `panel` holds, padding included.
int64_t PanelWidth(int64_t outputs, int64_t panel, WeightFormat format);
// Index of element (output, input) in PackedMatrix::data, in units of the format's elements.
int64_t PackedIndex(const PackedMatrix& matrix, int64_t output, int64_t input);

// Bytes of a matrix that is not quantised.
size_t PanelsSize(int64_t outputs, int64_t inputs, WeightFormat format);
PackedMatrix PackPanels(const MatrixSource& source, WeightFormat format, ThreadPool& pool);

// out[k] = element (output, k), for all inputs.
void UnpackRow(const PackedMatrix& matrix, int64_t output, float* out);

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_PACK_H_
