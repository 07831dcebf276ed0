// Complex modes of a channel, plain: a block takes 64 channels of a segment, and of each channel
// four threads take a run of modes, which they advance where the state will be.
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/states.h"

namespace ssmd::kernels::cuda::plain {
namespace {

struct ModalScanShared {
  // Of the runs: what is read, and what of the coupling the next token needs.
  float sums[1 + kMaxCoupling][kRuns][kChannelBlock];
};

struct ModeValue {
  float re, im;
};
SIMT_DEVICE ModeValue LoadMode(const float* from) {
  return {LoadReadOnly(from), LoadReadOnly(from + kChannelBlock)};
}
SIMT_DEVICE float AddReal(ModeValue a, ModeValue h, float sum) {
  return Fma(-a.im, h.im, Fma(a.re, h.re, sum));
}

// kRank: of the coupling, at most.
template <int kRank>
class ModalScanThread {
 public:
  SIMT_DEVICE ModalScanThread(const Block& block, const ModalScanParams& op, const Segment& segment,
                              ModalScanShared& shared)
      : block_(block),
        op_(op),
        segment_(segment),
        shared_(shared),
        lane_(static_cast<int>(block.thread() % kChannelBlock)),
        part_(static_cast<int>(block.thread() / kChannelBlock)),
        channel_(block.x() * kChannelBlock + lane_),
        exists_(channel_ < op.channels),
        run_(RunOf(part_, static_cast<int>(op.modes))),
        at_((block.x() * op.modes + run_.begin) * kMode + lane_),
        state_(FloatsAt(op.state, segment.dst_slot) + at_) {}

  SIMT_DEVICE void Run() {
    const float* from = FloatsAt(op_.state, segment_.src_slot) + at_;
    for (int64_t i = 0; i < run_.count * kMode; i += kChannelBlock) {
      state_[i] = exists_ ? from[i] : 0;
    }
    Couple();
    for (int32_t t = 0; t < segment_.length; ++t) Take(segment_.first_row + t);
  }

 private:
  static constexpr int64_t kMode = 2 * kChannelBlock;  // from one mode to the next

  // Of mode i of the run.
  SIMT_DEVICE ModeValue Mode(int i) const {
    return {state_[i * kMode], state_[i * kMode + kChannelBlock]};
  }
  SIMT_DEVICE ModeValue Coupling(const float* values, int r, int i) const {
    return LoadMode(values + ((block_.x() * op_.rank + r) * op_.modes + run_.begin + i) * kMode +
                    lane_);
  }
  SIMT_DEVICE float SumOf(int which) const {
    const auto& runs = shared_.sums[which];
    return (runs[0][lane_] + runs[1][lane_]) + (runs[2][lane_] + runs[3][lane_]);
  }

  // The run's part of the first token's coupling.
  SIMT_DEVICE void Couple() {
    SIMT_UNROLL for (int r = 0; r < kRank; ++r) {
      float sum = 0;
      if (r < op_.rank && exists_) {
        for (int i = 0; i < run_.count; ++i) {
          sum = AddReal(Coupling(op_.coupling_in, r, i), Mode(i), sum);
        }
      }
      shared_.sums[1 + r][part_][lane_] = sum;
    }
  }

  SIMT_DEVICE void Take(int64_t row) {
    block_.Sync();
    const float u = exists_ ? op_.u[row * op_.u_stride + channel_] : 0;
    float s[kRank + 1];  // none is no array
    SIMT_UNROLL for (int r = 0; r < kRank; ++r) s[r] = SumOf(1 + r);
    block_.Sync();
    if (exists_) Advance(u, s);
    block_.Sync();
    if (part_ == 0 && exists_) {
      op_.y[row * op_.y_stride + channel_] = Fma(op_.d[channel_], u, SumOf(0));
    }
  }

  // Advances the run, and leaves its parts of the sums.
  SIMT_DEVICE void Advance(float u, const float (&s)[kRank + 1]) {
    float sums[1 + kRank];
    SIMT_UNROLL for (int r = 0; r <= kRank; ++r) sums[r] = 0;
    for (int i = 0; i < run_.count; ++i) {
      ModeValue input = {u, 0};
      SIMT_UNROLL for (int r = 0; r < kRank; ++r) {
        if (r >= op_.rank) continue;
        const ModeValue out = Coupling(op_.coupling_out, r, i);
        input = {Fma(-out.re, s[r], input.re), Fma(-out.im, s[r], input.im)};
      }
      const ModeValue decay = LoadMode(op_.decay + at_ + i * kMode);
      const ModeValue old = Mode(i);
      const ModeValue h = {Fma(-decay.im, old.im, Fma(decay.re, old.re, input.re)),
                           Fma(decay.im, old.re, Fma(decay.re, old.im, input.im))};
      state_[i * kMode] = h.re;
      state_[i * kMode + kChannelBlock] = h.im;
      sums[0] = AddReal(LoadMode(op_.output + at_ + i * kMode), h, sums[0]);
      SIMT_UNROLL for (int r = 0; r < kRank; ++r) {
        if (r < op_.rank) sums[1 + r] = AddReal(Coupling(op_.coupling_in, r, i), h, sums[1 + r]);
      }
    }
    SIMT_UNROLL for (int r = 0; r <= kRank; ++r) shared_.sums[r][part_][lane_] = sums[r];
  }

  const Block& block_;
  const ModalScanParams& op_;
  const Segment& segment_;
  ModalScanShared& shared_;
  const int lane_;  // the channel's, of the block's
  const int part_;  // which run
  const int64_t channel_;
  const bool exists_;
  const StateRun run_;
  const int64_t at_;  // of the run's first mode
  float* const state_;
};

template <int kRank>
struct ModalScanKernel {
  static constexpr char kName[] = "modal_scan";
  static constexpr int kThreads = kRuns * kChannelBlock;
  using Args = ModalScanParams;
  using Shared = ModalScanShared;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.segments[block.y()];
    if (segment.dst_slot < 0) return;
    ModalScanThread<kRank>(block, args, segment, block.shared<Shared>()).Run();
  }
};

template <int kRank>
void LaunchModalScan(Stream& stream, const ModalScanParams& params) {
  using Kernel = ModalScanKernel<kRank>;
  const Grid grid = {PaddedChannels(params.channels) / kChannelBlock, params.segment_count};
  Launch<Kernel>(stream, grid, Kernel::kThreads, params);
}

}  // namespace

void ModalScan(Stream& stream, const ModalScanParams& params) {
  if (params.segment_count == 0) return;
  if (params.rank == 0) {
    LaunchModalScan<0>(stream, params);
  } else if (params.rank == 1) {
    LaunchModalScan<1>(stream, params);
  } else {
    LaunchModalScan<kMaxCoupling>(stream, params);
  }
}

}  // namespace ssmd::kernels::cuda::plain
