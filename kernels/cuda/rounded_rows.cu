// Rounds rows for the tensor core (rounded_rows.h). A warp takes 32 inputs of four rows, a thread
// four inputs of one.
#include "kernels/cuda/rounded_rows.h"
#include "kernels/cuda/rounded_store.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda::fast {
namespace {

constexpr int kGroupQuads = static_cast<int>(kGroupInputs) / kQuad;

template <Rounding kRounding>
struct RoundKernel {
  static constexpr char kName[] = "round_rows";
  static constexpr int kThreads = 256;
  static constexpr bool kOverlaps = true;
  // A group of eight rows.
  static constexpr int kGroupThreads = kCoreRows * kGroupQuads;
  static constexpr int kGroups = kThreads / kGroupThreads;

  struct Args {
    const float* x;
    int64_t x_stride;
    int64_t row_count;
    int64_t inputs;
    int64_t groups;  // padded
    RoundedRows to;
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    block.WaitForEarlierKernels();
    block.LetNextKernelStart();
    const int64_t group = block.x() * kGroups + block.thread() / kGroupThreads;
    if (group >= args.groups) return;  // whole warps
    const int64_t row = block.y() * kCoreRows + block.thread() % kGroupThreads / kGroupQuads;
    const int64_t quad = group * kGroupQuads + block.lane() % kGroupQuads;
    float x[kQuad];
    for (int i = 0; i < kQuad; ++i) {
      const int64_t k = quad * kQuad + i;
      const bool inside = row < args.row_count && k < args.inputs;
      x[i] = inside ? args.x[row * args.x_stride + k] : 0;
    }
    const float sum = StoreRoundedQuad<kRounding>(args.to, row, quad, x);
    StoreGroupSum(block, args.to, true, row, quad * kQuad, sum);
  }
};

template <Rounding kRounding>
void LaunchRound(Stream& stream, const MatMulParams& params, const RoundedRows& to) {
  using Kernel = RoundKernel<kRounding>;
  const int64_t groups = BlockCount(params.w->inputs) * kBlockGroups;
  Launch<Kernel>(
      stream, {(groups + Kernel::kGroups - 1) / Kernel::kGroups, to.padded_rows / kCoreRows},
      Kernel::kThreads, {params.x, params.x_stride, params.rows, params.w->inputs, groups, to});
}

int64_t PartBytes(int64_t rows, const PackedMatrix& w) {
  return PaddedRows(rows) * BlockCount(w.inputs) * kBlockInputs * 2;
}

size_t SumBytes(int64_t rows, const PackedMatrix& w) {
  if (w.format != WeightFormat::kQ4) return 0;
  return static_cast<size_t>(PaddedRows(rows) * BlockCount(w.inputs) * kBlockGroups) *
         sizeof(float);
}

}  // namespace

size_t RoundedRowsBytes(int64_t rows, const PackedMatrix& w) {
  return static_cast<size_t>(PartBytes(rows, w)) * static_cast<size_t>(InputParts(w)) +
         SumBytes(rows, w);
}

RoundedRows RoundedRowsIn(std::byte* scratch, int64_t rows, const PackedMatrix& w) {
  RoundedRows to;
  to.padded_rows = PaddedRows(rows);
  to.part_bytes = PartBytes(rows, w);
  to.inputs = BlockCount(w.inputs) * kBlockInputs;
  to.rows = scratch;
  if (w.format == WeightFormat::kQ4) to.sums = reinterpret_cast<float*>(scratch + to.part_bytes);
  if (InputParts(w) > 1) {
    to.rounding = Rounding::kSplit;
  } else if (w.format == WeightFormat::kF16) {
    to.rounding = Rounding::kF16;
  }
  return to;
}

RoundedRows RoundRows(Stream& stream, const MatMulParams& params, std::byte* scratch) {
  const RoundedRows to = RoundedRowsIn(scratch, params.rows, *params.w);
  switch (to.rounding) {
    case Rounding::kBf16:
      LaunchRound<Rounding::kBf16>(stream, params, to);
      break;
    case Rounding::kF16:
      LaunchRound<Rounding::kF16>(stream, params, to);
      break;
    case Rounding::kSplit:
      LaunchRound<Rounding::kSplit>(stream, params, to);
      break;
  }
  return to;
}

}  // namespace ssmd::kernels::cuda::fast
