// Comparisons of a fast kernel with its plain twin, on random operands that are shaped as an op of
// the model is. Each returns what is wrong, as the end of a sentence on the kernel, or "" where
// nothing is or there was no memory for it (CheckSpace::out_of_memory).
//
// Beside the results they look at what must hold to the bit: that a row does not depend on others
// (P1), that a prompt gives what its tokens one by one give (P2), and that guards, padding,
// padded segments and the states of others are left alone.
#ifndef SSMD_KERNELS_CUDA_SELFCHECK_KERNEL_CHECKS_H_
#define SSMD_KERNELS_CUDA_SELFCHECK_KERNEL_CHECKS_H_

#include <cstdint>
#include <functional>
#include <string>

#include "kernels/cuda/kernel_table.h"
#include "kernels/cuda/selfcheck/check_space.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda {

struct Twins {
  const KernelTable& fast;
  const KernelTable& plain;
  fast::ProductOptions product = {};  // as the device has them
};

// Rows of a product that are compared with the plain twin's.
inline constexpr int64_t kProductCheckRows = 130;

// With the matrix's own weights. `most_rows` are what a step may have.
std::string CheckProduct(CheckSpace& space, const Twins& twins, const MatMulParams& like,
                         int64_t most_rows);
// Of kProductCheckRows rows, by another way, which need not give a row the same bits for other
// numbers of rows.
using OtherProduct = std::function<void(Stream&, const MatMulParams&, std::byte*)>;
std::string CheckLibraryProduct(CheckSpace& space, const KernelTable& plain,
                                const MatMulParams& like, const OtherProduct& other);
std::string CheckNorm(CheckSpace& space, const Twins& twins, const RmsNormParams& like);
std::string CheckGatedNorm(CheckSpace& space, const Twins& twins, const GatedRmsNormParams& like);
std::string CheckConv(CheckSpace& space, const Twins& twins, const ConvSiluParams& like);
std::string CheckScan(CheckSpace& space, const Twins& twins, const SelectiveScanParams& like);
std::string CheckSsd(CheckSpace& space, const Twins& twins, const SsdScanParams& like);

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_SELFCHECK_KERNEL_CHECKS_H_
