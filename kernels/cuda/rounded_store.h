// Puts rows where the fast product takes them (rounded_rows.h), four inputs of a thread at a time.
#ifndef SSMD_KERNELS_CUDA_ROUNDED_STORE_H_
#define SSMD_KERNELS_CUDA_ROUNDED_STORE_H_

#include "kernels/cuda/rounded_rows.h"
#include "kernels/cuda/rounding.h"

namespace ssmd::kernels::cuda::fast {

// Inputs [4 · quad, 4 · quad + 4) of a row. Returns the sum of their first parts.
template <Rounding kRounding>
SIMT_DEVICE float StoreRoundedQuad(const RoundedRows& to, int64_t row, int64_t quad,
                                   const float (&x)[kQuad]) {
  constexpr int kParts = kRounding == Rounding::kSplit ? kSplitParts : 1;
  const auto rounded = RoundQuad<kRounding == Rounding::kF16, kParts>(x);
  for (int part = 0; part < kParts; ++part) {
    auto* words = reinterpret_cast<Words2*>(to.rows + part * to.part_bytes);
    words[(quad / 2 * to.padded_rows + row) * 2 + quad % 2] = rounded.words[part];
  }
  return rounded.sum;
}

// The sums of groups, of 32 inputs that eight neighbouring lanes have: `sum` of each lane's four,
// from input `first` on. All lanes of a warp.
SIMT_DEVICE void StoreGroupSum(const Block& block, const RoundedRows& to, bool exists, int64_t row,
                               int64_t first, float sum) {
  if (to.sums == nullptr) return;
  const float of_group = SumOfGroup(block, sum, 1);
  if (exists && first % kGroupInputs == 0) {
    to.sums[first / kGroupInputs * to.padded_rows + row] = of_group;
  }
}

// Both, of lanes whose inputs exist. All lanes of a warp, of which eight neighbours have 32 inputs.
SIMT_DEVICE void StoreRounded(const Block& block, const RoundedRows& to, bool exists, int64_t row,
                              int64_t first, const float (&x)[kQuad]) {
  float sum = 0;
  if (exists) {
    const int64_t quad = first / kQuad;
    switch (to.rounding) {
      case Rounding::kBf16:
        sum = StoreRoundedQuad<Rounding::kBf16>(to, row, quad, x);
        break;
      case Rounding::kF16:
        sum = StoreRoundedQuad<Rounding::kF16>(to, row, quad, x);
        break;
      case Rounding::kSplit:
        sum = StoreRoundedQuad<Rounding::kSplit>(to, row, quad, x);
        break;
    }
  }
  StoreGroupSum(block, to, exists, row, first, sum);
}

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_ROUNDED_STORE_H_
