// The Mamba-2 recurrence step by step, plain: a block takes up to 64 channels of a head and
// segment, and of each channel four threads take a run of state indices, which stays in registers
// while tokens go by, four together where there are as many.
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/ssd_chunks.h"
#include "kernels/cuda/ssd_share.h"
#include "kernels/cuda/state_numbers.h"

namespace ssmd::kernels::cuda::plain {
namespace {

struct SsdScanArgs {
  SsdScanParams op;
  int64_t state_row;
  SsdTokens tokens;
};

struct SsdScanShared {
  TokenRows rows;
  float delta[kTokensTogether];
  float loss[kTokensTogether];  // e^{Δa} − 1
  float sums[kTokensTogether][kRuns][kSsdChannels];
};

// kRun: state indices of a thread, at most.
template <int kRun, typename State>
class SsdScanThread {
 public:
  SIMT_DEVICE SsdScanThread(const Block& block, const SsdScanArgs& args, const Segment& segment,
                            SsdScanShared& shared)
      : block_(block),
        op_(args.op),
        segment_(segment),
        shared_(shared),
        state_row_(args.state_row),
        share_(SsdShareOf(args.op, block.x(), args.state_row)),
        lane_(block.thread() % kSsdChannels),
        part_(block.thread() / kSsdChannels),
        exists_(lane_ < share_.channels),
        run_(RunOf(part_, static_cast<int>(args.op.state_size))),
        count_(lane_ < share_.padded ? run_.count : 0),
        at_(share_.state + run_.begin * args.state_row + lane_) {}

  SIMT_DEVICE void Run(const SsdSpan& span) {
    // The first token of a segment takes the state over from where it was.
    const int32_t slot = span.begin == 0 ? segment_.src_slot : segment_.dst_slot;
    const auto* from = StateAt<State>(op_.state, slot) + at_;
    for (int i = 0; i < kRun; ++i) state_[i] = i < count_ ? State::Read(from + i * state_row_) : 0;
    int32_t token = span.begin;
    for (; token + kTokensTogether <= span.end; token += kTokensTogether) {
      Take<kTokensTogether>(token);
    }
    for (; token < span.end; ++token) Take<1>(token);
    // Lanes beyond the last channel were computed with zeros, which is zero unless B is not finite.
    auto* to = StateAt<State>(op_.state, segment_.dst_slot) + at_;
    for (int i = 0; i < kRun; ++i) {
      if (i < count_) State::Write(to + i * state_row_, exists_ ? state_[i] : 0);
    }
  }

 private:
  // kTokens tokens of the segment, from `token` on.
  template <int kTokens>
  SIMT_DEVICE void Take(int32_t token) {
    const int64_t row = segment_.first_row + token;
    const int64_t shared_column = share_.group * op_.state_size;
    LoadTokenRows(block_, op_.b + row * op_.b_stride + shared_column, op_.b_stride,
                  op_.c + row * op_.c_stride + shared_column, op_.c_stride,
                  static_cast<int>(op_.state_size), kTokens, shared_.rows);
    if (part_ < kTokens && lane_ == 0) {
      const float delta = SsdDelta(op_, row + part_, share_.head);
      shared_.delta[part_] = delta;
      shared_.loss[part_] = ExpMinus1(delta * op_.a[share_.head]);
    }
    float x[kTokens];
    for (int t = 0; t < kTokens; ++t) {
      x[t] = exists_ ? op_.x[(row + t) * op_.x_stride + share_.column + lane_] : 0;
    }
    block_.Sync();
    Advance<kTokens>(segment_.position + token, x);
    block_.Sync();
    for (int t = 0; t < kTokens; ++t) {
      if (t == part_ && exists_) Write(row + t, shared_.sums[t], x[t]);
    }
  }

  // Advances the run and leaves its parts of C·S.
  template <int kTokens>
  SIMT_DEVICE void Advance(int64_t position, const float (&x)[kTokens]) {
    float loss[kTokens], delta_x[kTokens], sum[kTokens];
    uint32_t key[kTokens];
    for (int t = 0; t < kTokens; ++t) {
      key[t] = KeyOf<State>(op_.state, position + t);
      loss[t] = shared_.loss[t];
      delta_x[t] = shared_.delta[t] * x[t];
      sum[t] = 0;
    }
    for (int i = 0; i < kRun; ++i) {
      if (i >= run_.count) continue;
      const float* b = shared_.rows.b[run_.begin + i];
      const float* c = shared_.rows.c[run_.begin + i];
      for (int t = 0; t < kTokens; ++t) {
        state_[i] = Fma(delta_x[t], b[t], Fma(loss[t], state_[i], state_[i]));
        sum[t] = Fma(c[t], state_[i], sum[t]);
        state_[i] = KeptState<State>(state_[i], key[t], ElementOf(at_ + i * state_row_));
      }
    }
    for (int t = 0; t < kTokens; ++t) shared_.sums[t][part_][lane_] = sum[t];
  }

  SIMT_DEVICE void Write(int64_t row, const float (&sums)[kRuns][kSsdChannels], float x) const {
    float y = (sums[0][lane_] + sums[1][lane_]) + (sums[2][lane_] + sums[3][lane_]);
    if (op_.d != nullptr) y = Fma(op_.d[share_.column + lane_], x, y);
    op_.y[row * op_.y_stride + share_.column + lane_] = y;
  }

  const Block& block_;
  const SsdScanParams& op_;
  const Segment& segment_;
  SsdScanShared& shared_;
  const int64_t state_row_;
  const SsdShare share_;
  const int lane_;  // the channel's, of the share's
  const int part_;  // which run, and which of the tokens
  const bool exists_;
  const StateRun run_;
  const int count_;   // of the run, where the lane has a state
  const int64_t at_;  // of the run's first element
  float state_[kRun];
};

template <int kRun, typename State>
struct SsdScanKernel {
  static constexpr char kName[] = "ssd_scan";
  static constexpr int kThreads = kRuns * kSsdChannels;
  using Args = SsdScanArgs;
  using Shared = SsdScanShared;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.op.segments[block.y()];
    if (segment.dst_slot < 0) return;
    const SsdSpan span = SpanOf(segment, args.tokens);
    if (span.begin == span.end) return;
    SsdScanThread<kRun, State>(block, args, segment, block.shared<Shared>()).Run(span);
  }
};

void LaunchSsdScan(Stream& stream, const SsdScanParams& params, SsdTokens tokens) {
  const SsdScanArgs args = {params, PaddedLanes(params.head_dim), tokens};
  const int64_t shares = params.heads * SharesOfAHead(params.head_dim);
  const Grid grid = {shares, params.segment_count};
  constexpr int kThreads = kRuns * kSsdChannels;
  WithStateOf(params.state.format, [&](auto state) {
    using State = decltype(state);
    if (params.state_size <= 4 * kRuns) {
      Launch<SsdScanKernel<4, State>>(stream, grid, kThreads, args);
    } else if (params.state_size <= 32 * kRuns) {
      Launch<SsdScanKernel<32, State>>(stream, grid, kThreads, args);
    } else {
      Launch<SsdScanKernel<64, State>>(stream, grid, kThreads, args);
    }
  });
}

}  // namespace

void SsdScan(Stream& stream, const SsdScanParams& params) {
  if (params.segment_count == 0) return;
  if (params.chunk_scratch == nullptr) {
    LaunchSsdScan(stream, params, SsdTokens::kAll);
    return;
  }
  LaunchSsdScan(stream, params, SsdTokens::kBefore);
  SsdChunks(stream, params);
  LaunchSsdScan(stream, params, SsdTokens::kAfter);
}

}  // namespace ssmd::kernels::cuda::plain
