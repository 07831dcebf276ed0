// Packs quantised matrices in the order of quantised_layout.h.
#ifndef SSMD_KERNELS_CPU_PACK_QUANTISED_H_
#define SSMD_KERNELS_CPU_PACK_QUANTISED_H_

#include "kernels/cpu/thread_pool.h"
#include "kernels/tensor.h"

namespace ssmd::kernels::cpu {

// Panels of 16 outputs, and the bytes of one. REQUIRES: a quantised format.
int64_t QuantisedPanelCount(int64_t outputs);
int64_t QuantisedPanelBytes(int64_t inputs, WeightFormat format);

// Fills matrix.data, which has room for it and is zero. False when other memory ran out.
bool PackQuantised(const MatrixSource& source, ThreadPool& pool, PackedMatrix& matrix);

// out[k] = element (output, k), for all inputs, rounded to f32.
void UnpackQuantisedRow(const PackedMatrix& matrix, int64_t output, float* out);

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_PACK_QUANTISED_H_
