// The Mamba-2 recurrence step by step, made for bandwidth: a block takes up to 64 channels of a
// head and segment, and has their states in registers, read once and written once, four numbers at
// a time. A token a segment is a decode step; of a longer one they stay until its last token.
//
// Thread (quad, part) has four channels and one of sixteen parts of the state indices.
#include "kernels/cuda/fast_ops.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/ssd_chunks.h"
#include "kernels/cuda/ssd_share.h"
#include "kernels/cuda/state_numbers.h"
#include "kernels/cuda/vectors.h"

namespace ssmd::kernels::cuda::fast {
namespace {

constexpr int kQuads = kSsdChannels / 4;
constexpr int kParts = 16;
constexpr int kSsdStepThreads = kQuads * kParts;
constexpr int kSsdStepWarps = kSsdStepThreads / kWarpThreads;
static_assert(kSsdStepThreads >= kMaxStateSize, "a thread loads an element of B and C");

struct SsdStepArgs {
  SsdScanParams op;
  int64_t state_row;
  SsdTokens tokens;
};

struct SsdStepShared {
  float b[kMaxStateSize];
  float c[kMaxStateSize];
  alignas(16) float x[kSsdChannels];
  alignas(16) float sums[kSsdStepWarps][kSsdChannels];
  float delta;
  float loss;  // e^{Δa} − 1
};

// kLength: state indices of a part, at most.
template <int kLength, typename State>
class SsdStepThread {
 public:
  SIMT_DEVICE SsdStepThread(const Block& block, const SsdStepArgs& args, const Segment& segment,
                            SsdStepShared& shared)
      : block_(block),
        op_(args.op),
        segment_(segment),
        s_(shared),
        state_row_(args.state_row),
        share_(SsdShareOf(args.op, block.x(), args.state_row)),
        quad_(block.thread() % kQuads * 4) {
    const auto states = static_cast<int>(op_.state_size);
    const int length = (states + kParts - 1) / kParts;
    begin_ = block.thread() / kQuads * length;
    const int left = states - begin_ < length ? states - begin_ : length;
    count_ = quad_ < share_.padded && left > 0 ? left : 0;
    at_ = share_.state + begin_ * state_row_ + quad_;
  }

  SIMT_DEVICE void Run(const SsdSpan& span) {
    // The first token of a segment takes the state over from where it was.
    const int32_t slot = span.begin == 0 ? segment_.src_slot : segment_.dst_slot;
    const auto* from = StateAt<State>(op_.state, slot) + at_;
    SIMT_UNROLL for (int i = 0; i < kLength; ++i) {
      state_[i] = i < count_ ? State::Read4(from + i * state_row_) : Floats4{};
    }
    const int64_t column = share_.column + block_.thread();
    if (op_.d != nullptr && block_.thread() < share_.channels) d_ = LoadReadOnly(op_.d + column);
    for (int32_t t = span.begin; t < span.end; ++t) TakeToken(t);
    auto* to = StateAt<State>(op_.state, segment_.dst_slot) + at_;
    SIMT_UNROLL for (int i = 0; i < kLength; ++i) {
      if (i >= count_) continue;
      SIMT_UNROLL for (int k = 0; k < 4; ++k) {
        // Padding would not stay zero where B is not finite.
        if (quad_ + k >= share_.channels) Component(state_[i], k) = 0;
      }
      State::Write4(to + i * state_row_, state_[i]);
    }
  }

 private:
  // Of the segment.
  SIMT_DEVICE void TakeToken(int32_t token) {
    const int64_t row = segment_.first_row + token;
    LoadInputs(row);
    block_.Sync();
    Floats4 sum = Advance(KeyOf<State>(op_.state, segment_.position + token));
    // The two parts of a warp, and then its eight warps.
    SIMT_UNROLL for (int k = 0; k < 4; ++k) {
      Component(sum, k) += block_.ShuffleXor(Component(sum, k), kQuads);
    }
    if (block_.lane() < kQuads) Store4(&s_.sums[block_.warp()][quad_], sum);
    block_.Sync();
    Write(row);
  }

  // Channels of x belong to the threads that write y.
  SIMT_DEVICE void LoadInputs(int64_t row) {
    const int thread = block_.thread();
    if (thread < op_.state_size) {
      const int64_t at = share_.group * op_.state_size + thread;
      s_.b[thread] = op_.b[row * op_.b_stride + at];
      s_.c[thread] = op_.c[row * op_.c_stride + at];
    }
    if (thread < kSsdChannels) {
      s_.x[thread] =
          thread < share_.channels ? op_.x[row * op_.x_stride + share_.column + thread] : 0;
    }
    if (thread == kSsdStepThreads - 1) {
      s_.delta = SsdDelta(op_, row, share_.head);
      s_.loss = ExpMinus1(s_.delta * op_.a[share_.head]);
    }
  }

  // Returns the part's C·S, indices ascending.
  SIMT_DEVICE Floats4 Advance(uint32_t key) {
    Floats4 delta_x = Load4(&s_.x[quad_]);
    SIMT_UNROLL for (int k = 0; k < 4; ++k) Component(delta_x, k) *= s_.delta;
    const float loss = s_.loss;
    Floats4 sum = {};
    SIMT_UNROLL for (int i = 0; i < kLength; ++i) {
      if (i >= count_) continue;
      const float b = s_.b[begin_ + i];
      const float c = s_.c[begin_ + i];
      SIMT_UNROLL for (int k = 0; k < 4; ++k) {
        float& state = Component(state_[i], k);
        state = Fma(Component(delta_x, k), b, Fma(loss, state, state));
        Component(sum, k) = Fma(c, state, Component(sum, k));
        state = KeptState<State>(state, key, ElementOf(at_ + i * state_row_ + k));
      }
    }
    return sum;
  }

  SIMT_DEVICE void Write(int64_t row) const {
    const int channel = block_.thread();
    if (channel >= share_.channels) return;
    float sums[kSsdStepWarps];
    SIMT_UNROLL for (int i = 0; i < kSsdStepWarps; ++i) sums[i] = s_.sums[i][channel];
    SIMT_UNROLL for (int step = 1; step < kSsdStepWarps; step *= 2) {
      SIMT_UNROLL for (int i = 0; i < kSsdStepWarps; i += 2 * step) sums[i] += sums[i + step];
    }
    const int64_t column = share_.column + channel;
    op_.y[row * op_.y_stride + column] =
        op_.d != nullptr ? Fma(d_, s_.x[channel], sums[0]) : sums[0];
  }

  const Block& block_;
  const SsdScanParams& op_;
  const Segment& segment_;
  SsdStepShared& s_;
  const int64_t state_row_;
  const SsdShare share_;
  const int quad_;  // the first of the thread's channels
  int begin_;       // of its state indices
  int count_;
  int64_t at_;   // of its first element
  float d_ = 0;  // of the channel that it writes
  Floats4 state_[kLength];
};

template <int kLength, typename State>
struct SsdStepKernel {
  static constexpr char kName[] = "ssd_step";
  static constexpr int kThreads = kSsdStepThreads;
  static constexpr bool kOverlaps = true;
  using Args = SsdStepArgs;
  using Shared = SsdStepShared;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    block.WaitForEarlierKernels();
    block.LetNextKernelStart();
    const Segment segment = args.op.segments[block.y()];
    if (segment.dst_slot < 0) return;
    const SsdSpan span = SpanOf(segment, args.tokens);
    if (span.begin == span.end) return;
    SsdStepThread<kLength, State>(block, args, segment, block.shared<Shared>()).Run(span);
  }
};

void LaunchSsdStep(Stream& stream, const SsdScanParams& params, SsdTokens tokens) {
  if (params.segment_count == 0) return;
  const SsdStepArgs args = {params, PaddedLanes(params.head_dim), tokens};
  const Grid grid = {params.heads * SharesOfAHead(params.head_dim), params.segment_count};
  WithStateOf(params.state.format, [&](auto state) {
    using State = decltype(state);
    if (params.state_size <= 4 * kParts) {
      Launch<SsdStepKernel<4, State>>(stream, grid, kSsdStepThreads, args);
    } else if (params.state_size <= 8 * kParts) {
      Launch<SsdStepKernel<8, State>>(stream, grid, kSsdStepThreads, args);
    } else {
      Launch<SsdStepKernel<16, State>>(stream, grid, kSsdStepThreads, args);
    }
  });
}

}  // namespace

void SsdStep(Stream& stream, const SsdScanParams& params) {
  LaunchSsdStep(stream, params, SsdTokens::kAll);
}

void SsdPrompt(Stream& stream, const SsdScanParams& params) {
  LaunchSsdStep(stream, params, SsdTokens::kBefore);
  SsdChunks(stream, params);
  LaunchSsdStep(stream, params, SsdTokens::kAfter);
}

}  // namespace ssmd::kernels::cuda::fast
