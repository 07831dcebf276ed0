// Rows of inputs rounded to 16 bits for the tensor core, in the order of its operand B.
//
// [parts][inputs / 8][rows][8 inputs]: 16 bytes of a row and eight inputs, next to those of the
// next row. A warp reads a fragment of m16n8k16 from 128 bytes in a row, without a conflict in
// shared memory, and eight rows are a core matrix of wgmma. Rows are padded to eight and inputs to
// blocks of 64, with zeros.
//
// Rows are rounded to nearest even: to bf16, denormals to zero; or to f16 for weights in f16, whose
// denormals are kept, as they begin at 2^−14 (beyond 65,504 to infinity, which no later op hides).
// Where a matrix says that its inputs may not be rounded they are split into three bf16 whose sum
// they are, and there are three parts.
#ifndef SSMD_KERNELS_CUDA_ROUNDED_ROWS_H_
#define SSMD_KERNELS_CUDA_ROUNDED_ROWS_H_

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/layout.h"
#include "kernels/cuda/runtime.h"
#include "kernels/ops.h"
#include "kernels/quantise.h"

namespace ssmd::kernels::cuda::fast {

inline constexpr int kCoreRows = 8;
inline constexpr int kCoreInputs = 8;  // of 16 bits: 16 bytes
inline constexpr int kBlockCores = kBlockInputs / kCoreInputs;
inline constexpr int kSplitParts = 3;

// How an input becomes parts of 16 bits.
enum class Rounding : uint8_t { kBf16, kF16, kSplit };

// Rounded rows, and in q4 the sums of their groups of 32 inputs: [groups][rows].
struct RoundedRows {
  std::byte* rows = nullptr;
  float* sums = nullptr;
  int64_t padded_rows = 0;
  int64_t part_bytes = 0;
  int64_t inputs = 0;  // padded
  Rounding rounding = Rounding::kBf16;
};

inline int64_t PaddedRows(int64_t rows) { return (rows + kCoreRows - 1) / kCoreRows * kCoreRows; }
// Where inputs may not be rounded. With groups of quantised weights they always may.
inline int InputParts(const PackedMatrix& w) {
  return w.may_round_inputs || IsQuantised(w.format) ? 1 : kSplitParts;
}
size_t RoundedRowsBytes(int64_t rows, const PackedMatrix& w);

// Where the rows of a product lie in `scratch`, of RoundedRowsBytes.
RoundedRows RoundedRowsIn(std::byte* scratch, int64_t rows, const PackedMatrix& w);

// Rounds the rows of a product into `scratch`. Kernels that make a product's rows put them there
// themselves, by rounded_store.h.
RoundedRows RoundRows(Stream& stream, const MatMulParams& params, std::byte* scratch);

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_ROUNDED_ROWS_H_
