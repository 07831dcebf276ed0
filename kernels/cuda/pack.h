// Packs weight matrices in the order of layout.h, on the host, some panels at a time: pure
// functions, which any thread may call for panels of its own. What they write is what
// Stream::CopyIn takes to the panels' place on the device.
#ifndef SSMD_KERNELS_CUDA_PACK_H_
#define SSMD_KERNELS_CUDA_PACK_H_

#include <cstddef>
#include <cstdint>

#include "kernels/tensor.h"

namespace ssmd::kernels::cuda {

// Panels [begin, end) of a matrix, which are (end − begin) · PanelBytes bytes from `out` on. False
// when memory for a row ran out. REQUIRES: as Device::Pack; `out` is aligned for f32.
bool PackPanels(const MatrixSource& source, WeightFormat format, int64_t begin, int64_t end,
                std::byte* out);

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_PACK_H_
