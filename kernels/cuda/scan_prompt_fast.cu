// The Mamba-1 recurrence over segments of any length, with the bits of ScanStep: a block takes 32
// channels of a segment, and of each channel four lanes take a run of state indices, which stays in
// registers while tokens go by. Inputs of 32 tokens are in shared memory while those of the next 32
// are on their way.
#include "kernels/cuda/fast_ops.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/scan_fast.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/state_numbers.h"
#include "kernels/cuda/vectors.h"

namespace ssmd::kernels::cuda::fast {
namespace {

constexpr int kPromptTokens = 32;    // of a tile
constexpr int kPromptChannels = 32;  // of a block
constexpr int kPromptThreads = kRuns * kPromptChannels;

// kRun: state indices of a run, at most.
template <int kRun>
struct PromptTile {
  alignas(16) float x[kPromptTokens][kPromptChannels];
  alignas(16) float dt[kPromptTokens][kPromptChannels];  // then Δ
  alignas(16) float z[kPromptTokens][kPromptChannels];   // then silu(z)
  alignas(16) float b[kPromptTokens][kRuns * kRun];      // run r from kRun · r on
  alignas(16) float c[kPromptTokens][kRuns * kRun];
  uint32_t key[kPromptTokens];
};

struct ScanPromptArgs {
  SelectiveScanParams op;
  bool by_16_bytes;         // rows of x, dt and z may be copied so
  bool states_by_16_bytes;  // and those of B and C, whose runs are as long as they may be
};

template <int kRun, typename State>
class ScanPromptThread {
 public:
  using Tile = PromptTile<kRun>;

  SIMT_DEVICE ScanPromptThread(const Block& block, const ScanPromptArgs& args,
                               const Segment& segment, Tile (&tiles)[2])
      : block_(block),
        args_(args),
        op_(args.op),
        segment_(segment),
        tiles_(tiles),
        first_(block.x() * kPromptChannels),
        lane_(block.warp() * 8 + block.lane() % 8),
        part_(block.lane() / 8),
        exists_(first_ + lane_ < op_.channels),
        run_(RunOf(part_, static_cast<int>(op_.state_size))),
        at_(((first_ / kChannelBlock) * op_.state_size + run_.begin) * kChannelBlock +
            first_ % kChannelBlock + lane_) {}

  SIMT_DEVICE void Run() {
    const auto* from = StateAt<State>(op_.state, segment_.src_slot) + at_;
    SIMT_UNROLL for (int i = 0; i < kRun; ++i) {
      h_[i] = i < run_.count ? State::Read(from + i * kChannelBlock) : 0;
      rate_[i] = i < run_.count ? LoadReadOnly(op_.a + at_ + i * kChannelBlock) * kLog2OfE : 0;
    }
    d_ = exists_ ? op_.d[first_ + lane_] : 0;
    Fetch(0);
    for (int32_t token = 0; token < segment_.length; token += kPromptTokens) {
      Fetch(token + kPromptTokens);
      AsyncWait<1>();
      block_.Sync();
      Tile& tile = TileOf(token);
      const int count = CountFrom(token);
      Prepare(tile, token, count);
      block_.Sync();
      for (int t = 0; t < count; t += kRuns) TakeFour(tile, token, t, count);
      block_.Sync();
    }
    auto* to = StateAt<State>(op_.state, segment_.dst_slot) + at_;
    SIMT_UNROLL for (int i = 0; i < kRun; ++i) {
      // Padding would not stay zero where B is not finite.
      if (i < run_.count) State::Write(to + i * kChannelBlock, exists_ ? h_[i] : 0);
    }
  }

 private:
  SIMT_DEVICE Tile& TileOf(int32_t token) const { return tiles_[token / kPromptTokens % 2]; }
  SIMT_DEVICE int CountFrom(int32_t token) const {
    const int32_t left = segment_.length - token;
    return left < kPromptTokens ? left : kPromptTokens;
  }

  // Sends for the tile that begins at `token`; an empty group if there is none.
  SIMT_DEVICE void Fetch(int32_t token) const {
    if (token < segment_.length) {
      Tile& tile = TileOf(token);
      const int count = CountFrom(token);
      const int64_t row = segment_.first_row + token;
      FetchChannels(op_.x + row * op_.x_stride, op_.x_stride, count, tile.x);
      FetchChannels(op_.dt + row * op_.dt_stride, op_.dt_stride, count, tile.dt);
      FetchChannels(op_.z + row * op_.z_stride, op_.z_stride, count, tile.z);
      FetchStates(op_.b + row * op_.b_stride, op_.b_stride, count, tile.b);
      FetchStates(op_.c + row * op_.c_stride, op_.c_stride, count, tile.c);
    }
    AsyncCommit();
  }

  // Channels beyond the last are left as they are.
  SIMT_DEVICE void FetchChannels(const float* from, int64_t stride, int count,
                                 float (&to)[kPromptTokens][kPromptChannels]) const {
    const int64_t left = op_.channels - first_;
    if (args_.by_16_bytes) {
      for (int i = block_.thread(); i < count * (kPromptChannels / 4); i += kPromptThreads) {
        const int t = i / (kPromptChannels / 4);
        const int c = i % (kPromptChannels / 4) * 4;
        if (c < left) AsyncCopy16(&to[t][c], from + t * stride + first_ + c);
      }
      return;
    }
    const int c = block_.thread() % kPromptChannels;
    for (int t = block_.thread() / kPromptChannels; t < count; t += kRuns) {
      if (c < left) to[t][c] = from[t * stride + first_ + c];
    }
  }

  SIMT_DEVICE void FetchStates(const float* from, int64_t stride, int count,
                               float (&to)[kPromptTokens][kRuns * kRun]) const {
    if (args_.states_by_16_bytes) {
      for (int i = block_.thread(); i < count * kRun; i += kPromptThreads) {
        const int t = i / kRun;
        const int n = i % kRun * 4;
        AsyncCopy16(&to[t][n], from + t * stride + n);
      }
      return;
    }
    const int states = static_cast<int>(op_.state_size);
    const int length = (states + kRuns - 1) / kRuns;
    for (int i = block_.thread(); i < count * states; i += kPromptThreads) {
      const int t = i / states;
      const int n = i % states;
      to[t][n / length * kRun + n % length] = from[t * stride + n];
    }
  }

  SIMT_DEVICE void Prepare(Tile& tile, int32_t token, int count) const {
    if (State::kRounds && block_.thread() < count) {
      const int64_t position = segment_.position + token + block_.thread();
      tile.key[block_.thread()] = KeyOf<State>(op_.state, position);
    }
    const int c = block_.thread() % kPromptChannels;
    for (int t = block_.thread() / kPromptChannels; t < count; t += kRuns) {
      tile.dt[t][c] = Softplus(tile.dt[t][c]);
      tile.z[t][c] = Silu(tile.z[t][c]);
    }
  }

  // Tokens [t, t + 4) of a tile, as far as there are any; the lane of run r writes the r-th.
  SIMT_DEVICE void TakeFour(const Tile& tile, int32_t token, int t, int count) {
    float sums[kRuns];
    SIMT_UNROLL for (int k = 0; k < kRuns; ++k) {
      sums[k] = t + k < count ? TakeToken(tile, t + k) : 0;
    }
    const float sum = SumRuns(block_, sums);
    const int mine = t + part_;
    if (mine >= count || !exists_) return;
    op_.y[(segment_.first_row + token + mine) * op_.y_stride + first_ + lane_] =
        Fma(d_, tile.x[mine][lane_], sum) * tile.z[mine][lane_];
  }

  // The run's part of C·h.
  SIMT_DEVICE float TakeToken(const Tile& tile, int t) {
    const float delta = tile.dt[t][lane_];
    const float delta_x = delta * tile.x[t][lane_];
    const uint32_t key = State::kRounds ? tile.key[t] : 0;
    float sum = 0;
    SIMT_UNROLL for (int i = 0; i < kRun; ++i) {
      if (i >= run_.count) continue;
      AdvanceElement(delta, delta_x, tile.b[t][part_ * kRun + i], tile.c[t][part_ * kRun + i],
                     rate_[i], h_[i], sum);
      h_[i] = KeptState<State>(h_[i], key, ElementOf(at_ + i * kChannelBlock));
    }
    return sum;
  }

  const Block& block_;
  const ScanPromptArgs& args_;
  const SelectiveScanParams& op_;
  const Segment& segment_;
  Tile (&tiles_)[2];
  const int64_t first_;  // channel of the block
  const int lane_;       // the thread's channel, from there
  const int part_;       // its run, and which of four tokens it writes
  const bool exists_;
  const StateRun run_;
  const int64_t at_;  // of the run's first element
  float h_[kRun], rate_[kRun];
  float d_ = 0;
};

template <int kRun, typename State>
struct ScanPromptKernel {
  static constexpr char kName[] = "scan_prompt";
  static constexpr int kThreads = kPromptThreads;
  using Args = ScanPromptArgs;
  struct Shared {
    PromptTile<kRun> tiles[2];
  };

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.op.segments[block.y()];
    if (segment.dst_slot < 0) return;
    ScanPromptThread<kRun, State>(block, args, segment, block.shared<Shared>().tiles).Run();
  }
};

template <int kRun>
void LaunchScanPrompt(Stream& stream, const SelectiveScanParams& params) {
  ScanPromptArgs args = {params, false, false};
  args.by_16_bytes = params.channels % 4 == 0 && RowsAligned16(params.x, params.x_stride) &&
                     RowsAligned16(params.dt, params.dt_stride) &&
                     RowsAligned16(params.z, params.z_stride);
  args.states_by_16_bytes = params.state_size == kRuns * kRun &&
                            RowsAligned16(params.b, params.b_stride) &&
                            RowsAligned16(params.c, params.c_stride);
  const Grid grid = {PaddedChannels(params.channels) / kPromptChannels, params.segment_count};
  WithStateOf(params.state.format, [&](auto state) {
    Launch<ScanPromptKernel<kRun, decltype(state)>>(stream, grid, kPromptThreads, args);
  });
}

}  // namespace

void ScanPrompt(Stream& stream, const SelectiveScanParams& params) {
  if (params.segment_count == 0) return;
  if (params.state_size <= 4 * kRuns) {
    LaunchScanPrompt<4>(stream, params);
  } else if (params.state_size <= kFastScanStates) {
    LaunchScanPrompt<kFastScanStates / kRuns>(stream, params);
  } else {
    plain::SelectiveScan(stream, params);
  }
}

}  // namespace ssmd::kernels::cuda::fast
