// Rounds rows for the tensor core (rounded_rows.h). A warp takes 32 inputs of four rows, a thread
// four inputs of one.
#include "kernels/cuda/rounded_rows.h"
#include "kernels/cuda/rounding.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda::fast {
namespace {

constexpr int kGroupQuads = static_cast<int>(kGroupInputs) / kQuad;

enum class Rounding { kBf16, kF16, kSplit };

template <Rounding kRounding>
struct RoundKernel {
  static constexpr char kName[] = "round_rows";
  static constexpr int kThreads = 256;
  // A group of eight rows.
  static constexpr int kGroupThreads = kCoreRows * kGroupQuads;
  static constexpr int kGroups = kThreads / kGroupThreads;
  static constexpr int kParts = kRounding == Rounding::kSplit ? kSplitParts : 1;

  struct Args {
    const float* x;
    int64_t x_stride;
    int64_t row_count;
    int64_t inputs;
    int64_t groups;  // padded
    RoundedRows to;
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
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
    const auto rounded = RoundQuad<kRounding == Rounding::kF16, kParts>(x);
    for (int part = 0; part < kParts; ++part) {
      auto* to = reinterpret_cast<Words2*>(args.to.rows + part * args.to.part_bytes);
      to[(quad / 2 * args.to.padded_rows + row) * 2 + quad % 2] = rounded.words[part];
    }
    if (args.to.sums == nullptr) return;
    const float sum = SumOfGroup(block, rounded.sum, 1);
    if (block.lane() % kGroupQuads == 0) args.to.sums[group * args.to.padded_rows + row] = sum;
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

RoundedRows RoundRows(Stream& stream, const MatMulParams& params, std::byte* scratch) {
  const PackedMatrix& w = *params.w;
  RoundedRows to;
  to.padded_rows = PaddedRows(params.rows);
  to.part_bytes = PartBytes(params.rows, w);
  to.rows = scratch;
  if (w.format == WeightFormat::kQ4) to.sums = reinterpret_cast<float*>(scratch + to.part_bytes);
  if (InputParts(w) > 1) {
    LaunchRound<Rounding::kSplit>(stream, params, to);
  } else if (w.format == WeightFormat::kF16) {
    LaunchRound<Rounding::kF16>(stream, params, to);
  } else {
    LaunchRound<Rounding::kBf16>(stream, params, to);
  }
  return to;
}

}  // namespace ssmd::kernels::cuda::fast
