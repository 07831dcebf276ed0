// The fast product: rounds the rows, chooses the kernel, and adds up what segments give.
#include <algorithm>
#include <vector>

#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/product_fast.h"
#include "kernels/cuda/product_parts.h"

namespace ssmd::kernels::cuda::fast {
namespace {

// A thread an output of a row.
template <typename Kind>
struct AddSegments {
  static constexpr char kName[] = "add_segments";
  static constexpr int kThreads = 256;
  static constexpr bool kOverlaps = true;
  struct Args {
    ProductOperands operands;
    int64_t pieces;  // blocks of a row
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    block.WaitForEarlierKernels();
    block.LetNextKernelStart();
    const int64_t row = block.x() / args.pieces;
    const int64_t output = block.x() % args.pieces * kThreads + block.thread();
    FinishSegments<Kind>(args.operands, row, output);
  }
};

template <typename Kind>
void LaunchAddSegments(Stream& stream, const ProductOperands& operands) {
  using Kernel = AddSegments<Kind>;
  const int64_t pieces = (operands.w.outputs + Kernel::kThreads - 1) / Kernel::kThreads;
  Launch<Kernel>(stream, {operands.to.rows * pieces}, Kernel::kThreads, {operands, pieces});
}

// Rows of partial sums, where blocks of threads have a segment each, of several.
int64_t PartialRows(int64_t rows, const PackedMatrix& w) {
  if (SegmentCount(w.outputs, w.inputs) == 1) return 0;
  const int64_t most = SplitRows(w);
  return rows < most ? rows : most;
}
bool HasPartials(int64_t rows, const PackedMatrix& w) { return PartialRows(rows, w) == rows; }

size_t AlignedRowsBytes(int64_t rows, const PackedMatrix& w) {
  if (rows <= kNarrowRows) return 0;
  constexpr size_t kAlignment = 256;
  return (RoundedRowsBytes(rows, w) + kAlignment - 1) / kAlignment * kAlignment;
}

size_t PartialBytes(int64_t rows, const PackedMatrix& w) {
  const int64_t sums =
      SegmentCount(w.outputs, w.inputs) * PartialRows(rows, w) * PanelCount(w.outputs);
  return static_cast<size_t>(sums) * kPanelOutputs * sizeof(float);
}

}  // namespace

size_t ProductScratchBytes(int64_t rows, const PackedMatrix& w) {
  if (w.format == WeightFormat::kF32 || rows == 0) return 0;
  return AlignedRowsBytes(rows, w) + PartialBytes(rows, w);
}

std::vector<int64_t> RowCountsOfAllWays(const PackedMatrix& w, int64_t most_rows) {
  // Narrow; few, in tiles of each height; many.
  std::vector<int64_t> counts = {1, 5, 12, 24, 48, 130};
  int64_t rows = counts.back();
  if (!HasPartials(rows, w)) return counts;
  while (rows < most_rows && HasPartials(rows, w)) rows = std::min(2 * rows, most_rows);
  if (!HasPartials(rows, w)) counts.push_back(rows);
  return counts;
}

void MatMul(Stream& stream, const MatMulParams& params, std::byte* scratch) {
  MatMulWith(ProductOptions(), stream, params, scratch);
}

void MatMulWith(const ProductOptions& options, Stream& stream, const MatMulParams& params,
                std::byte* scratch) {
  const PackedMatrix& w = *params.w;
  if (params.rows == 0) return;
  if (w.format == WeightFormat::kF32) return plain::MatMul(stream, params, scratch);
  const bool wgmma = options.unit == ProductUnit::kWgmma;
  const bool partials = HasPartials(params.rows, w);
  ProductOperands operands = {};
  operands.w = ViewOf(w);
  operands.segments = SegmentCount(w.outputs, w.inputs);
  operands.to = OutputOf(params);
  if (partials) {
    operands.partials = reinterpret_cast<float*>(scratch + AlignedRowsBytes(params.rows, w));
  }
  if (partials && params.rows <= kFewRows) operands.arrivals = options.arrivals;
  if (params.rows <= kNarrowRows) {
    NarrowArgs args = {operands, params.x, params.x_stride, nullptr, 0, false};
    if (options.norm != nullptr) {
      const RmsNormParams& norm = *options.norm;
      args = {operands, norm.x, norm.x_stride, norm.weight, norm.eps, true};
    }
    (wgmma ? MultiplyNarrowByWgmma : MultiplyNarrowByMma)(stream, w, args);
  } else {
    operands.x = options.rounded ? RoundedRowsIn(scratch, params.rows, w)
                                 : RoundRows(stream, params, scratch);
    (wgmma ? MultiplyByWgmma : MultiplyByMma)(stream, w, operands);
  }
  if (!partials || operands.arrivals != nullptr) return;
  WithKind(w, [&](auto kind) { LaunchAddSegments<decltype(kind)>(stream, operands); });
}

}  // namespace ssmd::kernels::cuda::fast
