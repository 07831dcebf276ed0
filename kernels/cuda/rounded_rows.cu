// Rounds rows for the tensor core (rounded_rows.h). A warp takes 32 inputs of eight rows: a thread
// eight inputs of one, so that reads are whole sectors and the warp writes four core matrices.
#include "kernels/cuda/bf16.h"
#include "kernels/cuda/rounded_rows.h"
#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda::fast {
namespace {

constexpr int kGroup = static_cast<int>(kGroupInputs);
constexpr int kGroupCores = kGroup / kCoreInputs;

enum class Rounding { kBf16, kF16, kSplit };

template <Rounding kRounding>
struct RoundKernel {
  static constexpr char kName[] = "round_rows";
  static constexpr int kThreads = 128;
  static constexpr int kWarps = kThreads / kWarpThreads;
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
    const int64_t group = block.x() * kWarps + block.warp();
    if (group >= args.groups) return;
    const int64_t row = block.y() * kCoreRows + block.lane() / kGroupCores;
    const int64_t core = group * kGroupCores + block.lane() % kGroupCores;
    uint32_t words[kParts][kCoreInputs / 2] = {};
    float sum = 0;
    for (int i = 0; i < kCoreInputs; ++i) {
      const int64_t k = core * kCoreInputs + i;
      const bool inside = row < args.row_count && k < args.inputs;
      uint32_t parts[kParts];
      sum = sum + Round(inside ? args.x[row * args.x_stride + k] : 0, parts);
      for (int part = 0; part < kParts; ++part) words[part][i / 2] |= parts[part] << (i % 2 * 16);
    }
    for (int part = 0; part < kParts; ++part) {
      auto* to = reinterpret_cast<Words4*>(args.to.rows + part * args.to.part_bytes);
      const uint32_t(&w)[kCoreInputs / 2] = words[part];
      to[core * args.to.padded_rows + row] = {w[0], w[1], w[2], w[3]};
    }
    if (args.to.sums == nullptr) return;
    sum = sum + block.ShuffleXor(sum, 1);
    sum = sum + block.ShuffleXor(sum, 2);
    if (block.lane() % kGroupCores == 0) args.to.sums[group * args.to.padded_rows + row] = sum;
  }

  // The bits of each part, and the value of the first.
  SIMT_DEVICE static float Round(float x, uint32_t (&parts)[kParts]) {
    if constexpr (kRounding == Rounding::kF16) {
      parts[0] = FloatToHalf(x);
      return HalfToFloat(static_cast<uint16_t>(parts[0]));
    } else {
      parts[0] = Bf16Bits(x);
      const float first = FloatOf(parts[0] << 16);
      float rest = x - first;
      for (int part = 1; part < kParts; ++part) {
        parts[part] = Bf16Bits(rest);
        rest = rest - FloatOf(parts[part] << 16);
      }
      return first;
    }
  }
};

template <Rounding kRounding>
void LaunchRound(Stream& stream, const MatMulParams& params, const RoundedRows& to) {
  using Kernel = RoundKernel<kRounding>;
  const int64_t groups = BlockCount(params.w->inputs) * kBlockGroups;
  Launch<Kernel>(
      stream, {(groups + Kernel::kWarps - 1) / Kernel::kWarps, to.padded_rows / kCoreRows},
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
