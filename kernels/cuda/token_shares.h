// The tokens of a segment in equal shares, one for each block along a grid's z: for ops whose
// tokens do not wait for each other.
#ifndef SSMD_KERNELS_CUDA_TOKEN_SHARES_H_
#define SSMD_KERNELS_CUDA_TOKEN_SHARES_H_

#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda {

// Shares of a launch that has few segments, which may be long.
inline constexpr int64_t kTokenShares = 32;
inline int64_t TokenSharesOf(int64_t segments) {
  return segments < kTokenShares ? kTokenShares / segments : 1;
}

struct TokenShare {
  int64_t begin, end;
};
SIMT_DEVICE TokenShare TokenShareOf(const Block& block, int64_t length) {
  const int64_t share = (length + block.grid_z() - 1) / block.grid_z();
  const int64_t begin = block.z() * share;
  return {begin, begin + share < length ? begin + share : length};
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_TOKEN_SHARES_H_
