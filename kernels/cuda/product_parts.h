// What the fast product's kernels share (product_fast.h): their operands, the choice of a kind, and
// partial sums.
#ifndef SSMD_KERNELS_CUDA_PRODUCT_PARTS_H_
#define SSMD_KERNELS_CUDA_PRODUCT_PARTS_H_

#include "kernels/cuda/fragments.h"
#include "kernels/cuda/product_fast.h"
#include "kernels/cuda/product_output.h"
#include "kernels/cuda/rounded_rows.h"

namespace ssmd::kernels::cuda::fast {

// Up to so many rows there is a kernel each.
static_assert(kNarrowRows == kCoreRows);
inline constexpr int64_t kFewRows = 64;

struct ProductOperands {
  WeightView w;
  RoundedRows x;
  int64_t segments;
  // [segments][rows][outputs padded to panels]: the segments' sums, where blocks of threads have
  // one each; null where they go to the output.
  float* partials;
  // (panels), zero: the blocks of a panel that have arrived, the last of which adds the segments.
  // Null: nobody adds them here.
  uint32_t* arrivals;
  ProductOutput to;
};

SIMT_DEVICE int64_t PaddedOutputs(const ProductOperands& p) {
  return (p.w.outputs + kPanelOutputs - 1) / kPanelOutputs * kPanelOutputs;
}

// A row's sum of an output over all segments.
template <typename Kind>
SIMT_DEVICE void StoreTotal(const ProductOperands& p, int64_t row, int64_t output, float sum) {
  if constexpr (Kind::kFormat == WeightFormat::kFp8) {
    if (output >= p.w.outputs) return;
    const std::byte* panel = p.w.data + output / kPanelOutputs * p.w.panel_bytes;
    const auto* scales = reinterpret_cast<const float*>(panel + p.w.factor_offset);
    sum = sum * scales[output % kPanelOutputs];
  }
  Finish(p.to, row, output, sum);
}

// The same of one segment, or of all.
template <typename Kind>
SIMT_DEVICE void StoreSum(const ProductOperands& p, int64_t segment, int64_t row, int64_t output,
                          float sum) {
  if (p.partials == nullptr) return StoreTotal<Kind>(p, row, output, sum);
  const int64_t padded = PaddedOutputs(p);
  if (row >= p.to.rows || output >= padded) return;
  p.partials[(segment * p.to.rows + row) * padded + output] = sum;
}

// Adds what StoreSum kept of the segments, in ascending order.
template <typename Kind>
SIMT_DEVICE void FinishSegments(const ProductOperands& p, int64_t row, int64_t output) {
  if (output >= p.w.outputs) return;
  const int64_t padded = PaddedOutputs(p);
  const float* partial = p.partials + row * padded + output;
  float sum = LoadCoherent(partial);
  for (int64_t s = 1; s < p.segments; ++s) {
    partial += p.to.rows * padded;
    sum = sum + LoadCoherent(partial);
  }
  StoreTotal<Kind>(p, row, output, sum);
}

// After StoreSum of a block of threads that has panel block.x() and a segment: whichever is the
// last of the panel to arrive adds the segments. `last` is shared memory.
template <typename Kind>
SIMT_DEVICE void AddSegmentsIfLast(const Block& block, const ProductOperands& p, bool& last) {
  if (p.arrivals == nullptr) return;
  uint32_t& arrivals = p.arrivals[block.x()];
  block.Sync();
  if (block.thread() == 0) {
    FenceDevice();
    const uint32_t others = AtomicAdd(&arrivals, 1u);
    FenceDevice();
    last = others + 1 == static_cast<uint32_t>(p.segments);
    if (last) arrivals = 0;  // for the next product
  }
  block.Sync();
  if (!last) return;
  const int64_t output = block.x() * kPanelOutputs + block.thread() % kPanelOutputs;
  for (int64_t row = block.thread() / kPanelOutputs; row < p.to.rows;
       row += block.threads() / kPanelOutputs) {
    FinishSegments<Kind>(p, row, output);
  }
}

// The operands of a product of kNarrowRows or fewer.
struct NarrowArgs {
  ProductOperands operands;  // without rounded rows
  const float* x;
  int64_t x_stride;
  // Where the product is of normed rows (product_norm.h): may be null, as RmsNorm's.
  const float* norm_weight;
  float norm_eps;
  bool normed;
};

// `launch(Kind)` with the kind of a product. REQUIRES: not f32.
template <typename Function>
void WithKind(const PackedMatrix& w, const Function& launch) {
  const bool split = InputParts(w) > 1;
  switch (w.format) {
    case WeightFormat::kBf16:
      return split ? launch(ProductKind<WeightFormat::kBf16, kSplitParts>())
                   : launch(ProductKind<WeightFormat::kBf16, 1>());
    case WeightFormat::kF16:
      return split ? launch(ProductKind<WeightFormat::kF16, kSplitParts>())
                   : launch(ProductKind<WeightFormat::kF16, 1>());
    case WeightFormat::kFp8:
      return split ? launch(ProductKind<WeightFormat::kFp8, kSplitParts>())
                   : launch(ProductKind<WeightFormat::kFp8, 1>());
    case WeightFormat::kQ8:
      return launch(ProductKind<WeightFormat::kQ8, 1>());
    case WeightFormat::kQ4:
      return launch(ProductKind<WeightFormat::kQ4, 1>());
    case WeightFormat::kF32:
      return;
  }
}

// Of many rows a block of threads has so many, of two panels' outputs.
inline constexpr int kTilePanels = 2;
inline constexpr int ManyRowsTile(int parts) { return parts == 1 ? 128 : 64; }
inline int64_t ManyRowsTiles(int64_t rows, const PackedMatrix& w) {
  const int64_t tile = ManyRowsTile(InputParts(w));
  return (rows + tile - 1) / tile;
}
inline int64_t PanelPairs(const PackedMatrix& w) {
  return (PanelCount(w.outputs) + kTilePanels - 1) / kTilePanels;
}
// Up to so many rows each segment gets blocks of threads of its own: where there would be fewer
// than kEnoughTiles without, two thirds of an H100's multiprocessors.
inline constexpr int64_t kEnoughTiles = 88;
inline int64_t SplitRows(const PackedMatrix& w) {
  const int64_t tiles = (kEnoughTiles - 1) / PanelPairs(w);
  const int64_t rows = tiles * ManyRowsTile(InputParts(w));
  return rows > kFewRows ? rows : kFewRows;
}

// The sums of all segments, or of each where there is room for partials, with the products of warps
// (product_mma.cu) or of warpgroups (product_wgmma.cu).
void MultiplyByMma(Stream& stream, const PackedMatrix& w, const ProductOperands& operands);
void MultiplyByWgmma(Stream& stream, const PackedMatrix& w, const ProductOperands& operands);
// The same of kNarrowRows or fewer, before they are rounded.
void MultiplyNarrowByMma(Stream& stream, const PackedMatrix& w, const NarrowArgs& args);
void MultiplyNarrowByWgmma(Stream& stream, const PackedMatrix& w, const NarrowArgs& args);

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_PRODUCT_PARTS_H_
