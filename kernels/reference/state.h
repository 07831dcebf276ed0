// States in any format, an element at a time.
#ifndef SSMD_KERNELS_REFERENCE_STATE_H_
#define SSMD_KERNELS_REFERENCE_STATE_H_

#include <cstdint>

#include "kernels/tensor.h"

namespace ssmd::kernels::reference {

double ReadState(const StateField& field, int32_t slot, int64_t element);
// What is kept of a value after the token at `position`: of a narrow format what rounding leaves.
double KeptState(const StateField& field, double value, int64_t position, int64_t element);
// REQUIRES: `value` was kept (f32: it is rounded to that).
void WriteState(const StateField& field, int32_t slot, int64_t element, double value);

// Zeroes what lies beyond the channels: in channel blocks of so many rows, and in state rows
// (linear_ops.h).
void ClearBlockPadding(const StateField& field, int32_t slot, int64_t channels, int64_t rows);
void ClearRowPadding(const StateField& field, int32_t slot, int64_t channels, int64_t rows);

}  // namespace ssmd::kernels::reference

#endif  // SSMD_KERNELS_REFERENCE_STATE_H_
