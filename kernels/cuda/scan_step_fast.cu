// The Mamba-1 recurrence of one token a row (scan_step.h), made for bandwidth.
#include "kernels/cuda/fast_ops.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/scan_step.h"

namespace ssmd::kernels::cuda::fast {
namespace {

constexpr int kStepThreads = 64;

// Δ comes from memory, and y goes there.
struct FromMemory {
  const Block& block;
  const SelectiveScanParams& op;

  SIMT_DEVICE float Dt(int64_t /*index*/, int64_t row, int64_t channel) const {
    return op.dt[row * op.dt_stride + channel];
  }
  SIMT_DEVICE float BScale(int64_t /*index*/) const { return 1; }
  SIMT_DEVICE float CScale(int64_t /*index*/) const { return 1; }
  SIMT_DEVICE void Write(int64_t row, int64_t first, bool exists, float y) const {
    if (exists) op.y[row * op.y_stride + first + block.lane() / 8] = y;
  }
};

template <int kRows, typename State>
struct ScanStepKernel {
  static constexpr char kName[] = "scan_step";
  static constexpr int kThreads = kStepThreads;
  static constexpr bool kOverlaps = true;
  using Args = SelectiveScanParams;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    block.WaitForEarlierKernels();
    block.LetNextKernelStart();
    const int64_t warp = block.x() * (kStepThreads / kWarpThreads) + block.warp();
    const FromMemory around = {block, args};
    using Thread = ScanStepThread<kRows, State, FromMemory>;
    const Thread thread(block, args, around, warp * kStepChannels);
    typename Thread::Work work;
    thread.Begin(block.y() * kRows, work);
    thread.Finish(work);
  }
};

template <int kRows>
void LaunchScanStep(Stream& stream, const SelectiveScanParams& params) {
  const int64_t blocks =
      PaddedChannels(params.channels) / kStepChannels * kWarpThreads / kStepThreads;
  const Grid grid = {blocks, (params.segment_count + kRows - 1) / kRows};
  WithStateOf(params.state.format, [&](auto state) {
    Launch<ScanStepKernel<kRows, decltype(state)>>(stream, grid, kStepThreads, params);
  });
}

}  // namespace

void ScanStep(Stream& stream, const SelectiveScanParams& params) {
  if (params.segment_count == 0) return;
  if (params.state_size > kFastScanStates) {
    plain::SelectiveScan(stream, params);
    return;
  }
  // Two rows use `a` twice; where there are few, more blocks are worth more.
  if (params.segment_count < 8) {
    LaunchScanStep<1>(stream, params);
  } else {
    LaunchScanStep<2>(stream, params);
  }
}

}  // namespace ssmd::kernels::cuda::fast
