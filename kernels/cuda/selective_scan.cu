// The Mamba-1 recurrence, plain: a block takes 64 channels of a segment, and of each channel four
// threads take a run of state indices. The state is in shared memory while tokens go by, each
// element with the thread that it belongs to.
//
// Four tokens are taken together where there are as many: each of the four threads of a channel
// makes the step size and the output of one.
#include "kernels/cuda/math.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/state_numbers.h"
#include "kernels/cuda/states.h"

namespace ssmd::kernels::cuda::plain {
namespace {

template <int kStates>
struct ScanShared {
  TokenRows rows;
  float h[kStates][kChannelBlock];
  float delta[kTokensTogether][kChannelBlock];
  float delta_x[kTokensTogether][kChannelBlock];
  float sums[kTokensTogether][kRuns][kChannelBlock];
};

template <int kStates, typename State>
class ScanThread {
 public:
  SIMT_DEVICE ScanThread(const Block& block, const SelectiveScanParams& op, const Segment& segment,
                         ScanShared<kStates>& shared)
      : block_(block),
        op_(op),
        segment_(segment),
        shared_(shared),
        lane_(static_cast<int>(block.thread() % kChannelBlock)),
        part_(static_cast<int>(block.thread() / kChannelBlock)),
        channel_(block.x() * kChannelBlock + lane_),
        exists_(channel_ < op.channels),
        run_(RunOf(part_, static_cast<int>(op.state_size))),
        at_((block.x() * op.state_size + run_.begin) * kChannelBlock + lane_) {}

  SIMT_DEVICE void Run() {
    const auto* from = StateAt<State>(op_.state, segment_.src_slot) + at_;
    for (int i = 0; i < run_.count; ++i) {
      shared_.h[run_.begin + i][lane_] = State::Read(from + i * kChannelBlock);
    }
    int32_t token = 0;
    for (; token + kTokensTogether <= segment_.length; token += kTokensTogether) {
      Take<kTokensTogether>(token);
    }
    for (; token < segment_.length; ++token) Take<1>(token);
    // Lanes beyond the last channel were computed with zeros, which is zero unless B is not finite.
    auto* to = StateAt<State>(op_.state, segment_.dst_slot) + at_;
    for (int i = 0; i < run_.count; ++i) {
      State::Write(to + i * kChannelBlock, exists_ ? shared_.h[run_.begin + i][lane_] : 0);
    }
  }

 private:
  // kTokens tokens of the segment, from `token` on.
  template <int kTokens>
  SIMT_DEVICE void Take(int32_t token) {
    const int64_t row = segment_.first_row + token;
    LoadTokenRows(block_, op_.b + row * op_.b_stride, op_.b_stride, op_.c + row * op_.c_stride,
                  op_.c_stride, static_cast<int>(op_.state_size), kTokens, shared_.rows);
    const int64_t mine = row + part_;  // the token of this thread, if there is one
    float x = 0;
    if (part_ < kTokens) {
      x = exists_ ? op_.x[mine * op_.x_stride + channel_] : 0;
      const float delta = Softplus(exists_ ? op_.dt[mine * op_.dt_stride + channel_] : 0);
      shared_.delta[part_][lane_] = delta;
      shared_.delta_x[part_][lane_] = delta * x;
    }
    block_.Sync();
    Advance<kTokens>(segment_.position + token);
    block_.Sync();
    if (part_ < kTokens && exists_) {
      const auto& sums = shared_.sums[part_];
      const float sum = (sums[0][lane_] + sums[1][lane_]) + (sums[2][lane_] + sums[3][lane_]);
      const float gate = Silu(op_.z[mine * op_.z_stride + channel_]);
      op_.y[mine * op_.y_stride + channel_] = Fma(op_.d[channel_], x, sum) * gate;
    }
  }

  // Advances the run and leaves its parts of C·h.
  template <int kTokens>
  SIMT_DEVICE void Advance(int64_t position) {
    float delta[kTokens], delta_x[kTokens], sum[kTokens];
    uint32_t key[kTokens];
    SIMT_UNROLL for (int t = 0; t < kTokens; ++t) {
      key[t] = KeyOf<State>(op_.state, position + t);
      delta[t] = shared_.delta[t][lane_];
      delta_x[t] = shared_.delta_x[t][lane_];
      sum[t] = 0;
    }
    for (int i = 0; i < run_.count; ++i) {
      const float a = LoadReadOnly(op_.a + at_ + i * kChannelBlock);
      float h = shared_.h[run_.begin + i][lane_];
      const float* b = shared_.rows.b[run_.begin + i];
      const float* c = shared_.rows.c[run_.begin + i];
      SIMT_UNROLL for (int t = 0; t < kTokens; ++t) {
        const float loss = ExpMinus1(delta[t] * a);
        h = Fma(delta_x[t], b[t], Fma(loss, h, h));
        sum[t] = Fma(c[t], h, sum[t]);
        h = KeptState<State>(h, key[t], ElementOf(at_ + i * kChannelBlock));
      }
      shared_.h[run_.begin + i][lane_] = h;
    }
    SIMT_UNROLL for (int t = 0; t < kTokens; ++t) shared_.sums[t][part_][lane_] = sum[t];
  }

  const Block& block_;
  const SelectiveScanParams& op_;
  const Segment& segment_;
  ScanShared<kStates>& shared_;
  const int lane_;  // the channel's, of the block's
  const int part_;  // which run, and which of the tokens
  const int64_t channel_;
  const bool exists_;
  const StateRun run_;
  const int64_t at_;  // of the run's first element
};

template <int kStates, typename State>
struct ScanKernel {
  static constexpr char kName[] = "selective_scan";
  static constexpr int kThreads = kRuns * kChannelBlock;
  static constexpr int kBlocks = 4;
  using Args = SelectiveScanParams;
  using Shared = ScanShared<kStates>;
  static_assert(sizeof(Shared) <= kSharedBytesMax);

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.segments[block.y()];
    if (segment.dst_slot < 0) return;
    ScanThread<kStates, State>(block, args, segment, block.shared<Shared>()).Run();
  }
};

template <int kStates>
void LaunchScan(Stream& stream, const SelectiveScanParams& params) {
  const Grid grid = {PaddedChannels(params.channels) / kChannelBlock, params.segment_count};
  WithStateOf(params.state.format, [&](auto state) {
    using Kernel = ScanKernel<kStates, decltype(state)>;
    Launch<Kernel>(stream, grid, Kernel::kThreads, params);
  });
}

}  // namespace

void SelectiveScan(Stream& stream, const SelectiveScanParams& params) {
  if (params.segment_count == 0) return;
  if (params.state_size <= 16) {
    LaunchScan<16>(stream, params);
  } else if (params.state_size <= 64) {
    LaunchScan<64>(stream, params);
  } else {
    LaunchScan<kMaxStateSize>(stream, params);
  }
}

}  // namespace ssmd::kernels::cuda::plain
