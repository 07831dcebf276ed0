// The Mamba-1 recurrence of one token a row, made for bandwidth: states are read once and written
// once, 16 bytes at a time, with those of all a thread's rows on their way together.
//
// A warp takes 32 channels: lane 8r + i has channels 4i to 4i + 3 and run r of the state indices.
// Step size, gate and output of channel 4i + r are its own.
#include "kernels/cuda/fast_ops.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/scan_fast.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/vectors.h"

namespace ssmd::kernels::cuda::fast {
namespace {

constexpr int kStepThreads = 64;
constexpr int kStepChannels = 32;  // of a warp
constexpr int kStepStates = 4;     // state indices that a thread has in registers

// A row, as a thread sees it.
struct StepRow {
  int32_t row = 0;
  const float* from = nullptr;  // its states, at the thread's channels; null of a padded row
  float* to = nullptr;
  float gate = 0;       // silu(z) of its own channel
  float delta[4] = {};  // of its channels
  float delta_x[4] = {};
  float sums[4] = {};
};

template <int kRows>
class ScanStepThread {
 public:
  SIMT_DEVICE ScanStepThread(const Block& block, const SelectiveScanParams& op)
      : block_(block),
        op_(op),
        run_(RunOf(block.lane() / 8, static_cast<int>(op.state_size))),
        first_((block.x() * (kStepThreads / kWarpThreads) + block.warp()) * kStepChannels +
               4 * (block.lane() % 8)),
        channel_(first_ + block.lane() / 8),
        exists_(channel_ < op.channels),
        at_((first_ / kChannelBlock * op.state_size + run_.begin) * kChannelBlock +
            first_ % kChannelBlock) {}

  SIMT_DEVICE void Run() {
    StepRow rows[kRows];
    States states;
    SIMT_UNROLL for (int r = 0; r < kRows; ++r) Find(block_.y() * kRows + r, rows[r]);
    // States first: they come from furthest away.
    Load(0, rows, states);
    SIMT_UNROLL for (int r = 0; r < kRows; ++r) Prepare(rows[r]);
    Advance(0, rows, states);
    const int length = static_cast<int>(op_.state_size + kRuns - 1) / kRuns;
    for (int n = kStepStates; n < length; n += kStepStates) {
      Load(n, rows, states);
      Advance(n, rows, states);
    }
    SIMT_UNROLL for (int r = 0; r < kRows; ++r) Finish(rows[r]);
  }

 private:
  struct States {
    Floats4 h[kRows][kStepStates];
    Floats4 rate[kStepStates];
  };

  SIMT_DEVICE void Find(int64_t index, StepRow& row) const {
    if (index >= op_.segment_count) return;
    const Segment segment = op_.segments[index];
    if (segment.dst_slot < 0) return;
    row.row = segment.first_row;
    row.from = StateAt(op_.state, segment.src_slot) + at_;
    row.to = StateAt(op_.state, segment.dst_slot) + at_;
  }

  SIMT_DEVICE void Prepare(StepRow& row) const {
    if (row.from == nullptr) return;
    const float delta =
        Softplus(exists_ ? LoadReadOnly(op_.dt + row.row * op_.dt_stride + channel_) : 0);
    if (exists_) row.gate = Silu(LoadReadOnly(op_.z + row.row * op_.z_stride + channel_));
    const float delta_x = delta * (exists_ ? X(row) : 0);
    SIMT_UNROLL for (int c = 0; c < 4; ++c) {
      row.delta[c] = block_.Shuffle(delta, block_.lane() % 8 + 8 * c);
      row.delta_x[c] = block_.Shuffle(delta_x, block_.lane() % 8 + 8 * c);
    }
  }

  // State indices [n, n + kStepStates) of the run.
  SIMT_DEVICE void Load(int n, const StepRow (&rows)[kRows], States& states) const {
    SIMT_UNROLL for (int i = 0; i < kStepStates; ++i) {
      const bool exists = n + i < run_.count;
      SIMT_UNROLL for (int r = 0; r < kRows; ++r) {
        states.h[r][i] = exists && rows[r].from != nullptr
                             ? Load4(rows[r].from + (n + i) * kChannelBlock)
                             : Floats4{};
      }
      const Floats4 a = exists ? LoadReadOnly4(op_.a + at_ + (n + i) * kChannelBlock) : Floats4{};
      SIMT_UNROLL for (int k = 0; k < 4; ++k) {
        Component(states.rate[i], k) = Component(a, k) * kLog2OfE;
      }
    }
  }
  SIMT_DEVICE void Advance(int n, StepRow (&rows)[kRows], States& states) const {
    SIMT_UNROLL for (int r = 0; r < kRows; ++r) {
      if (rows[r].from == nullptr) continue;
      const float* b = op_.b + rows[r].row * op_.b_stride + run_.begin + n;
      const float* c = op_.c + rows[r].row * op_.c_stride + run_.begin + n;
      SIMT_UNROLL for (int i = 0; i < kStepStates; ++i) {
        if (n + i >= run_.count) continue;
        Floats4& h = states.h[r][i];
        AdvanceChannels(LoadReadOnly(b + i), LoadReadOnly(c + i), states.rate[i], rows[r], h);
        Store4(rows[r].to + (n + i) * kChannelBlock, h);
      }
    }
  }

  SIMT_DEVICE void AdvanceChannels(float b, float c, const Floats4& rate, StepRow& row,
                                   Floats4& h) const {
    SIMT_UNROLL for (int k = 0; k < 4; ++k) {
      AdvanceElement(row.delta[k], row.delta_x[k], b, c, Component(rate, k), Component(h, k),
                     row.sums[k]);
      // Padding would not stay zero where B is not finite.
      if (first_ + k >= op_.channels) Component(h, k) = 0;
    }
  }

  // x of its own channel.
  SIMT_DEVICE float X(const StepRow& row) const { return op_.x[row.row * op_.x_stride + channel_]; }

  SIMT_DEVICE void Finish(const StepRow& row) const {
    if (row.from == nullptr) return;
    const float sum = SumRuns(block_, row.sums);
    if (!exists_) return;
    op_.y[row.row * op_.y_stride + channel_] =
        Fma(LoadReadOnly(op_.d + channel_), X(row), sum) * row.gate;
  }

  const Block& block_;
  const SelectiveScanParams& op_;
  const StateRun run_;
  const int64_t first_;    // of the thread's channels
  const int64_t channel_;  // its own
  const bool exists_;
  const int64_t at_;  // of the first channel and the run's first index
};

template <int kRows>
struct ScanStepKernel {
  static constexpr char kName[] = "scan_step";
  static constexpr int kThreads = kStepThreads;
  using Args = SelectiveScanParams;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    ScanStepThread<kRows>(block, args).Run();
  }
};

template <int kRows>
void LaunchScanStep(Stream& stream, const SelectiveScanParams& params) {
  const int64_t blocks =
      PaddedChannels(params.channels) / kStepChannels * kWarpThreads / kStepThreads;
  Launch<ScanStepKernel<kRows>>(stream, {blocks, (params.segment_count + kRows - 1) / kRows},
                                kStepThreads, params);
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
