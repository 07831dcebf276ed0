// MatMul on the tensor core (sm_80 and later): the fast twin of plain::MatMul.
//
// Inputs are rounded to 16 bits, or split into three parts where they may not be (rounded_rows.h);
// codes of weights become 16-bit numbers exactly. The inputs of a matrix are cut into segments by
// its shape alone (layout.h, SegmentCount). In a segment an output has one accumulator, which takes
// 16 inputs at a time in ascending order; with quantised weights a group of 32, scaled. Segments
// are added in ascending order, then come fp8's scale, bias and `add`. So a row's bits depend on
// nothing but the row and the weights, whichever of the kernels computes it:
//
//   up to 8 rows (product_narrow.h): rounded, and normed, as they are read
//   up to 64 rows (product_few.h): bound by reading the weights, which go from memory to registers
//   more rows (product_many.h): tiles of 128 outputs and 128 rows, both through shared memory
//
// Differences from the exact sum of the rounded operands are those of f32 sums, about 2^−22 of the
// sum of magnitudes.
#ifndef SSMD_KERNELS_CUDA_PRODUCT_FAST_H_
#define SSMD_KERNELS_CUDA_PRODUCT_FAST_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/cuda/runtime.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda::fast {

// Scratch that products of so many rows need, and of fewer.
size_t ProductScratchBytes(int64_t rows, const PackedMatrix& w);

// Numbers of rows that between them take every way that a product with these weights can go in
// steps of so many rows at most: for whoever compares the ways with each other. Ascending.
std::vector<int64_t> RowCountsOfAllWays(const PackedMatrix& w, int64_t most_rows);

// Which instruction makes the products. Bits depend on it, as units differ in how they add 16
// products: a device has one for all that it does.
enum class ProductUnit : uint8_t {
  kMma,    // mma.sync
  kWgmma,  // of compute capability 9.0 alone
};

// Whether the code that runs on this GPU has wgmma: it is of compute capability 9.0, and the build
// has code for it. Nothing where there was no memory to ask, or the GPU fails. Waits for the
// stream.
std::optional<bool> HasWgmma(Gpu& gpu, Stream& stream);

struct ProductOptions {
  ProductUnit unit = ProductUnit::kMma;
  // Device memory of kProductArrivals words that nobody else uses, zero at first: products leave it
  // so. With it a product of up to 64 rows adds its segments itself; without, another launch does.
  uint32_t* arrivals = nullptr;
  // The rows lie rounded at the start of `scratch` (RoundedRowsIn); params.x is not looked at. Of
  // more than kNarrowRows rows.
  bool rounded = false;
  // The product is of this norm's output, which is not written. REQUIRES: up to kNarrowRows rows;
  // inputs may be rounded; TakesRmsNorm (fused_ops.h), without row_index.
  const RmsNormParams* norm = nullptr;
};
// Up to so many rows a product rounds them itself.
inline constexpr int64_t kNarrowRows = 8;
inline constexpr int64_t kProductArrivals = 264;

// f32 weights go to plain::MatMul. REQUIRES: `scratch` is aligned to 16 bytes and, as `arrivals`,
// not in use by other work of the GPU.
void MatMul(Stream& stream, const MatMulParams& params, std::byte* scratch);
void MatMulWith(const ProductOptions& options, Stream& stream, const MatMulParams& params,
                std::byte* scratch);

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_PRODUCT_FAST_H_
