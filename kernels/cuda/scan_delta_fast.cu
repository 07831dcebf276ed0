// The Mamba-1 recurrence of one token a row (scan_step.h) with the product that makes its Δ before
// it and, if that is asked for, the rounding of y after it.
//
// A block has the 64 channels that are a panel of the product's outputs, and up to eight rows,
// whose Δ four warps compute at once as product_narrow.h does. Then two warps each have the
// channels of a row or two. The weights are on their way before earlier kernels have ended, the
// first rows' states before Δ is computed.
#include "kernels/cuda/fused_ops.h"
#include "kernels/cuda/lane_weights.h"
#include "kernels/cuda/narrow_inputs.h"
#include "kernels/cuda/rounded_store.h"
#include "kernels/cuda/row_sums_fast.h"
#include "kernels/cuda/scan_step.h"

namespace ssmd::kernels::cuda::fast {
namespace {

constexpr int kDeltaThreads = kPanelLanes;
constexpr int kDeltaRows = kCoreRows;
constexpr int64_t kDeltaBlocks = 4;  // of inputs, that shared memory has room for
constexpr int kChannelWarps = kPanelOutputs / kStepChannels;
constexpr int kRowWarps = kDeltaThreads / kWarpThreads / kChannelWarps;
static_assert(kPanelOutputs == kChannelBlock);

// A weightless norm.
struct ScanNorm {
  float eps;
  bool on;
};

struct ScanDeltaArgs {
  SelectiveScanParams scan;
  WeightView w;
  const float* bias;  // or null
  const float* low;   // (rows, w.inputs)
  int64_t low_stride;
  ScanNorm low_norm, b_norm, c_norm;
  RoundedRows rounded;
  int64_t rows;  // of a block
};

// Factors of the norms, of the block's rows.
struct ScanScales {
  float low[kDeltaRows], b[kDeltaRows], c[kDeltaRows];
};

template <typename Kind>
struct ScanDeltaShared {
  Words4 weights[kDeltaBlocks][Kind::kChunks][kPanelLanes];
  NarrowInputs<Kind> inputs[kDeltaBlocks];
  float dt[kDeltaRows][kPanelOutputs];
  ScanScales scales;
};

// What is about the recurrence: rows are those of the block, from segment `first` on.
template <typename Kind>
struct FromProduct {
  const Block& block;
  const ScanDeltaArgs& args;
  const ScanDeltaShared<Kind>& shared;
  int64_t first;

  SIMT_DEVICE float Dt(int64_t index, int64_t /*row*/, int64_t channel) const {
    return shared.dt[index - first][channel % kPanelOutputs];
  }
  SIMT_DEVICE float BScale(int64_t index) const {
    return args.b_norm.on ? shared.scales.b[index - first] : 1.0f;
  }
  SIMT_DEVICE float CScale(int64_t index) const {
    return args.c_norm.on ? shared.scales.c[index - first] : 1.0f;
  }
  SIMT_DEVICE void Write(int64_t row, int64_t channel, bool exists, float y) const {
    const SelectiveScanParams& op = args.scan;
    if (args.rounded.rows == nullptr) {
      if (exists) op.y[row * op.y_stride + channel + block.lane() / 8] = y;
      return;
    }
    float quad[kQuad];
    for (int k = 0; k < kQuad; ++k) quad[k] = block.Shuffle(y, block.lane() % 8 + 8 * k);
    StoreRounded(block, args.rounded, block.lane() < 8, row, channel, quad);
  }
};

template <typename Kind, typename State, int kRows, bool kWarpgroup>
struct ScanDeltaKernel {
  static constexpr char kName[] = "scan_step_delta";
  static constexpr int kThreads = kDeltaThreads;
  // At 0 the compiler would have more blocks of narrow states than fit into registers.
  static constexpr int kBlocks = State::kRounds ? 2 : 0;
  static constexpr bool kOverlaps = true;
  using Args = ScanDeltaArgs;
  using Shared = ScanDeltaShared<Kind>;
  using Thread = ScanStepThread<kRows, State, FromProduct<Kind>>;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    Shared& shared = block.shared<Shared>();
    CopyWeights(block, args, shared);
    block.WaitForEarlierKernels();
    block.LetNextKernelStart();
    const int64_t first = block.y() * args.rows;
    const FromProduct<Kind> around = {block, args, shared, first};
    const Thread thread(block, args.scan, around,
                        block.x() * kPanelOutputs + block.warp() % kChannelWarps * kStepChannels);
    const int64_t mine = first + block.warp() / kChannelWarps * kRows;
    for (int64_t row = 0; row < args.rows; row += kRowWarps * kRows) {
      typename Thread::Work work;
      thread.Begin(mine + row, work);
      if (row == 0) {
        MakeScales(block, args, first, shared.scales);
        MakeDt(block, args, first, shared);
      }
      thread.Finish(work);
    }
  }

  // Those that a thread copies are its own fragments.
  SIMT_DEVICE static void CopyWeights(const Block& block, const Args& args, Shared& shared) {
    const std::byte* panel = args.w.data + block.x() * args.w.panel_bytes;
    for (int b = 0; b < args.w.blocks; ++b) {
      const auto* chunks = reinterpret_cast<const Words4*>(panel + b * Kind::kCodeBytes);
      for (int i = 0; i < Kind::kChunks; ++i) {
        AsyncCopy16(&shared.weights[b][i][block.thread()],
                    chunks + i * kPanelLanes + block.thread());
      }
    }
    AsyncCommit();
  }

  // Of the segment `first` + i; −1 where it is none, or padding.
  SIMT_DEVICE static int64_t RowOf(const Args& args, int64_t first, int i) {
    if (i >= args.rows || first + i >= args.scan.segment_count) return -1;
    const Segment segment = args.scan.segments[first + i];
    return segment.dst_slot < 0 ? -1 : segment.first_row;
  }

  SIMT_DEVICE static void MakeScales(const Block& block, const Args& args, int64_t first,
                                     ScanScales& scales) {
    const SelectiveScanParams& op = args.scan;
    if (!args.low_norm.on && !args.b_norm.on && !args.c_norm.on) return;
    for (int i = block.warp(); i < args.rows; i += kDeltaThreads / kWarpThreads) {
      const int64_t row = RowOf(args, first, i);
      if (row < 0) continue;
      MakeScale(block, args.low_norm, args.low + row * args.low_stride, args.w.inputs,
                scales.low[i]);
      MakeScale(block, args.b_norm, op.b + row * op.b_stride, op.state_size, scales.b[i]);
      MakeScale(block, args.c_norm, op.c + row * op.c_stride, op.state_size, scales.c[i]);
    }
    block.Sync();
  }
  // By a warp.
  SIMT_DEVICE static void MakeScale(const Block& block, const ScanNorm& norm, const float* x,
                                    int64_t cols, float& scale) {
    if (!norm.on) return;
    float sum = 0;
    for (int warp = 0; warp * kWarpThreads * 4 < cols; ++warp) {
      sum += SumSquaresOfWarp(block, x, cols, warp);
    }
    if (block.lane() == 0) scale = RmsScale(sum, cols, norm.eps);
  }

  // Δ before softplus of the block's rows.
  SIMT_DEVICE static void MakeDt(const Block& block, const Args& args, int64_t first,
                                 Shared& shared) {
    const int64_t row = RowOf(args, first, NarrowRowOf(block));
    const float scale = args.low_norm.on && row >= 0 ? shared.scales.low[NarrowRowOf(block)] : 1.0f;
    for (int b = 0; b < args.w.blocks; ++b) {
      float x[kQuad];
      for (int i = 0; i < kQuad; ++i) {
        const int64_t k = int64_t{b} * kBlockInputs + NarrowQuadOf(block) * kQuad + i;
        const bool inside = row >= 0 && k < args.w.inputs;
        x[i] = inside ? args.low[row * args.low_stride + k] * scale : 0;
      }
      StoreNarrowInputs<Kind>(block, x, shared.inputs[b]);
    }
    AsyncWait<0>();
    if constexpr (kWarpgroup) ShareWithTensorCore();
    block.Sync();
    Sums<1, 1> acc = {};
    for (int b = 0; b < args.w.blocks; ++b) {
      const auto unpack = [&](int /*unit*/, int group) {
        return UnpackGroup<Kind>(
            group, [&](int i) { return shared.weights[b][i][block.thread()]; },
            [](int /*i*/) { return 0u; });
      };
      if constexpr (kWarpgroup) {
        AddBlockByWarpgroup(block, shared.inputs[b], unpack, acc);
      } else {
        AddBlockByWarp(block, shared.inputs[b], 0, kDeltaRows, unpack, acc);
      }
    }
    StoreDt(block, args, acc[0][0], shared);
    block.Sync();
  }

  SIMT_DEVICE static void StoreDt(const Block& block, const Args& args, const float (&sums)[4],
                                  Shared& shared) {
    SIMT_UNROLL for (int i = 0; i < 4; ++i) {
      const int output = block.warp() * 16 + block.lane() / 4 + i / 2 * 8;
      const int64_t channel = block.x() * kPanelOutputs + output;
      const bool biased = args.bias != nullptr && channel < args.w.outputs;
      shared.dt[block.lane() % 4 * 2 + i % 2][output] =
          biased ? sums[i] + args.bias[channel] : sums[i];
    }
  }
};

template <typename Kind, int kRows, bool kWarpgroup>
void LaunchScanDelta(Stream& stream, const ScanDeltaArgs& args) {
  const int64_t blocks = (args.scan.segment_count + args.rows - 1) / args.rows;
  WithStateOf(args.scan.state.format, [&](auto state) {
    using Kernel = ScanDeltaKernel<Kind, decltype(state), kRows, kWarpgroup>;
    Launch<Kernel>(stream, {PanelCount(args.w.outputs), blocks}, kDeltaThreads, args);
  });
}

template <typename Kind, bool kWarpgroup>
void LaunchScanDelta(Stream& stream, const ScanDeltaArgs& args) {
  if (args.rows == kRowWarps) {
    LaunchScanDelta<Kind, 1, kWarpgroup>(stream, args);
  } else {
    LaunchScanDelta<Kind, 2, kWarpgroup>(stream, args);
  }
}

template <typename Kind>
void LaunchScanDelta(Stream& stream, const ScanDeltaArgs& args, ProductUnit unit) {
  if (unit == ProductUnit::kWgmma) {
    LaunchScanDelta<Kind, true>(stream, args);
  } else {
    LaunchScanDelta<Kind, false>(stream, args);
  }
}

// Each block reads the weights: so it takes more rows where there are many.
int64_t RowsOfABlock(int64_t segments) {
  constexpr int64_t kSome = 8, kMany = 32;
  return segments < kSome ? kRowWarps : segments < kMany ? 2 * kRowWarps : kDeltaRows;
}

// Whether a norm, if there is one, is of these rows, in place and without weights.
bool TakesNorm(const RmsNormParams& norm, const float* x, int64_t stride, int64_t cols) {
  if (norm.rows == 0) return true;
  return norm.x == x && norm.out == x && norm.x_stride == stride && norm.out_stride == stride &&
         norm.cols == cols && norm.weight == nullptr && norm.row_index == nullptr &&
         TakesRmsNorm(norm);
}

ScanNorm NormOf(const RmsNormParams& norm) { return {norm.eps, norm.rows > 0}; }

}  // namespace

bool TakesScanWithDelta(const ScanWithDelta& params) {
  const SelectiveScanParams& scan = params.scan;
  const MatMulParams& product = params.dt_proj;
  const PackedMatrix& w = *product.w;
  const bool kind = w.format == WeightFormat::kBf16 || w.format == WeightFormat::kF16;
  return kind && InputParts(w) == kSplitParts && BlockCount(w.inputs) <= kDeltaBlocks &&
         w.outputs == scan.channels && product.add == nullptr && product.out == scan.dt &&
         product.out_stride == scan.dt_stride && scan.state_size <= kFastScanStates &&
         TakesNorm(params.dt_norm, product.x, product.x_stride, w.inputs) &&
         TakesNorm(params.b_norm, scan.b, scan.b_stride, scan.state_size) &&
         TakesNorm(params.c_norm, scan.c, scan.c_stride, scan.state_size);
}

void ScanStepWithDelta(Stream& stream, const ScanWithDelta& params, ProductUnit unit) {
  if (params.scan.segment_count == 0) return;
  const MatMulParams& product = params.dt_proj;
  ScanDeltaArgs args = {};
  args.scan = params.scan;
  args.w = ViewOf(*product.w);
  args.bias = product.bias;
  args.low = product.x;
  args.low_stride = product.x_stride;
  args.low_norm = NormOf(params.dt_norm);
  args.b_norm = NormOf(params.b_norm);
  args.c_norm = NormOf(params.c_norm);
  args.rounded = params.rounded;
  args.rows = RowsOfABlock(params.scan.segment_count);
  if (product.w->format == WeightFormat::kF16) {
    LaunchScanDelta<ProductKind<WeightFormat::kF16, kSplitParts>>(stream, args, unit);
  } else {
    LaunchScanDelta<ProductKind<WeightFormat::kBf16, kSplitParts>>(stream, args, unit);
  }
}

}  // namespace ssmd::kernels::cuda::fast
