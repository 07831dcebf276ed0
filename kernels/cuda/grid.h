// The blocks of a launch.
#ifndef SSMD_KERNELS_CUDA_GRID_H_
#define SSMD_KERNELS_CUDA_GRID_H_

#include <cstdint>

namespace ssmd::kernels::cuda {

// At most 2^31 − 1 in x, 65,535 in y and z. Nothing runs where one of them is 0.
struct Grid {
  int64_t x = 1;
  int64_t y = 1;
  int64_t z = 1;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_GRID_H_
