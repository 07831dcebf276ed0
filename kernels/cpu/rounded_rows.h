// Rows of inputs rounded to bf16, and their products with a bf16 matrix: the part of the CPU
// device's MatMul that the threads share out, where the instruction set has it.
//
// Holds one block of rows at a time, for the widest matrix that was reserved for. Its rows may be
// rounded by several threads, each its share, and multiplied by several once all are rounded.
#ifndef SSMD_KERNELS_CPU_ROUNDED_ROWS_H_
#define SSMD_KERNELS_CPU_ROUNDED_ROWS_H_

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/ops.h"
#include "kernels/tensor.h"

namespace ssmd::kernels::cpu {

class RoundedRows {
 public:
  explicit RoundedRows(const KernelTable& kernels) : kernels_(kernels) {}

  // Whether products of these weights round their inputs here.
  bool Takes(const PackedMatrix& w) const;

  // Makes room for kMaxRoundedRows rows of `inputs`. False where memory ran out.
  bool Reserve(int64_t inputs);

  // Into how many rows a product's rows are best cut: nearly equal blocks.
  static int64_t BlockRows(int64_t rows);

  // Rounds those of the rows of `block` that are in `share`, counted from the block's first.
  // REQUIRES: room for the matrix's inputs; at most kMaxRoundedRows in a block.
  void Round(const MatMulParams& params, Range block, Range share);
  // The block's products with the panels of 16 outputs in `panels`, which go to `to`.
  void Multiply(const MatMulParams& params, Range block, Range panels,
                const ProductOutput& to) const;

 private:
  const KernelTable& kernels_;
  Buffer pairs_;
};

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_ROUNDED_ROWS_H_
