// The Mamba-2 recurrence of whole chunks on tensor cores (cpu/ssd_chunk_kernel.h has the
// equations). A block takes up to 64 channels of a head and segment through its chunks; a warp has
// sixteen channels, and keeps their state, transposed, in the registers of a product's result,
// where it can be an operand of the next product as it is:
//   yᵀ (channels, tokens) = e^{s(·, i)} Sᵀ Cᵀ + xᵀ Wᵀ,   W_ij = (C_i·B_j) e^{s(j, i)} Δ_j
//   Sᵀ (channels, N)      = e^{s(·, last)} Sᵀ + (e^{s(j, last)} Δ_j x_j)ᵀ B
// Rows of B and C come into shared memory while the chunk before them is computed, and are split
// there into bf16 (split_bf16.h). States, decays and sums are f32.
#include "kernels/cuda/math.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/split_bf16.h"
#include "kernels/cuda/ssd_chunks.h"
#include "kernels/cuda/ssd_share.h"
#include "kernels/cuda/state_numbers.h"
#include "kernels/cuda/vectors.h"

namespace ssmd::kernels::cuda::fast {
namespace {

constexpr int kChunk = kSsdChunkTokens;
constexpr int kPairs = kChunk / 2;
constexpr int kTokenTiles = kChunk / 8;
constexpr int kTokenSteps = kChunk / 16;  // of a product over tokens
constexpr int kPromptWarps = kSsdChannels / 16;
constexpr int kSsdPromptThreads = kPromptWarps * kWarpThreads;
static_assert(kChunk == kWarpThreads, "a lane has a token's step size");

struct SsdPromptArgs {
  SsdScanParams op;
  int64_t state_row;
  bool by_16_bytes;  // rows of B and C may be copied so
};

// kStates: state indices, at most; beyond the last there are zeros.
template <int kStates>
struct SsdPromptShared {
  alignas(16) float raw_b[kChunk][kStates + 4];
  alignas(16) float raw_c[kChunk][kStates + 4];
  SplitRows<kChunk, kStates / 2> b, c;     // pairs of state indices
  SplitRows<kStates, kPairs> b_by_states;  // pairs of tokens
  SplitRows<kChunk, kPairs> weights;       // W; what is above the diagonal's tiles is not read
  float sums[kChunk][kChunk + 1];          // s(j, i) at [i][j]
  float delta[kChunk];
  float entry[kChunk];  // e^{s(·, i)}
  float exit[kChunk];   // e^{s(j, last)} Δ_j
  float loss;           // e^{s(·, last)} − 1
};

// e^x for x <= 0, by the special function unit.
SIMT_DEVICE float ExpFast(float x) { return Exp2Approximate(x * 0x1.715476p+0f); }

template <int kStates, typename State>
class SsdPromptThread {
 public:
  static constexpr int kStateTiles = kStates / 8;
  static constexpr int kStateSteps = kStates / 16;

  SIMT_DEVICE SsdPromptThread(const Block& block, const SsdPromptArgs& args, const Segment& segment,
                              SsdPromptShared<kStates>& shared)
      : block_(block),
        args_(args),
        op_(args.op),
        segment_(segment),
        s_(shared),
        states_(static_cast<int>(args.op.state_size)),
        share_(SsdShareOf(args.op, block.x(), args.state_row)),
        g_(block.lane() / 4),
        q_(block.lane() % 4),
        channel_(block.warp() * 16 + g_) {}

  SIMT_DEVICE void Run(const SsdCut& cut) {
    MoveIn(cut.before == 0 ? segment_.src_slot : segment_.dst_slot);
    const int64_t first = segment_.first_row + cut.before;
    ClearBeyondStates();
    block_.Sync();
    Fetch(first);
    LoadNext(first);
    for (int32_t chunk = 0; chunk < cut.chunks; ++chunk) {
      const int64_t row = first + chunk * kChunk;
      AsyncWait<0>();
      block_.Sync();
      SplitInputs();
      if (block_.warp() == kPromptWarps - 1) ComputeSteps(next_dt_);
      TakeNext();
      block_.Sync();
      if (chunk + 1 < cut.chunks) {
        Fetch(row + kChunk);
        LoadNext(row + kChunk);
      }
      Weigh();
      float y[kTokenTiles][4];
      MultiplyState(y);
      block_.Sync();
      MultiplyWeights(y);
      Write(row, y);
      AdvanceState(segment_.position + cut.before + (chunk + 1) * kChunk - 1);
    }
    MoveOut();
  }

 private:
  // Element k of a tile of Sᵀ: its channel (of the share's) and state index.
  SIMT_DEVICE int ChannelOf(int k) const { return channel_ + k / 2 * 8; }
  SIMT_DEVICE int StateOf(int tile, int k) const { return 8 * tile + 2 * q_ + k % 2; }

  SIMT_DEVICE void MoveIn(int32_t slot) {
    const auto* from = StateAt<State>(op_.state, slot) + share_.state;
    SIMT_UNROLL for (int tile = 0; tile < kStateTiles; ++tile) {
      SIMT_UNROLL for (int k = 0; k < 4; ++k) {
        const int n = StateOf(tile, k);
        const bool exists = n < states_ && ChannelOf(k) < share_.padded;
        state_[tile][k] = exists ? State::Read(from + n * args_.state_row + ChannelOf(k)) : 0;
      }
    }
  }
  SIMT_DEVICE void MoveOut() const {
    auto* to = StateAt<State>(op_.state, segment_.dst_slot) + share_.state;
    SIMT_UNROLL for (int tile = 0; tile < kStateTiles; ++tile) {
      SIMT_UNROLL for (int k = 0; k < 4; ++k) {
        const int n = StateOf(tile, k);
        if (n >= states_ || ChannelOf(k) >= share_.padded) continue;
        // Padding would not stay zero where B is not finite.
        State::Write(to + n * args_.state_row + ChannelOf(k),
                     ChannelOf(k) < share_.channels ? state_[tile][k] : 0);
      }
    }
  }

  SIMT_DEVICE void ClearBeyondStates() {
    for (int i = block_.thread(); i < kChunk * kStates; i += kSsdPromptThreads) {
      if (i % kStates < states_) continue;
      s_.raw_b[i / kStates][i % kStates] = 0;
      s_.raw_c[i / kStates][i % kStates] = 0;
    }
  }

  // Sends for the rows of B and C of the chunk that begins at `row`.
  SIMT_DEVICE void Fetch(int64_t row) {
    const int64_t column = share_.group * op_.state_size;
    FetchRows(op_.b + row * op_.b_stride + column, op_.b_stride, s_.raw_b);
    FetchRows(op_.c + row * op_.c_stride + column, op_.c_stride, s_.raw_c);
    AsyncCommit();
  }
  SIMT_DEVICE void FetchRows(const float* from, int64_t stride,
                             float (&to)[kChunk][kStates + 4]) const {
    if (args_.by_16_bytes) {
      const int vectors = states_ / 4;
      for (int i = block_.thread(); i < kChunk * vectors; i += kSsdPromptThreads) {
        const int t = i / vectors;
        const int n = i % vectors * 4;
        AsyncCopy16(&to[t][n], from + t * stride + n);
      }
      return;
    }
    for (int i = block_.thread(); i < kChunk * states_; i += kSsdPromptThreads) {
      to[i / states_][i % states_] = from[i / states_ * stride + i % states_];
    }
  }

  // x of the warp's channels, as the operand xᵀ has it: pair i of step `step` is token
  // TokenOf(step, i) and the one after it, of ChannelOfPair(i). It and Δ wait in registers for
  // their chunk.
  SIMT_DEVICE int TokenOf(int step, int i) const { return 16 * step + 2 * q_ + i / 2 * 8; }
  SIMT_DEVICE int ChannelOfPair(int i) const { return channel_ + i % 2 * 8; }
  SIMT_DEVICE void LoadNext(int64_t row) {
    SIMT_UNROLL for (int step = 0; step < kTokenSteps; ++step) {
      SIMT_UNROLL for (int i = 0; i < 4; ++i) {
        const bool exists = ChannelOfPair(i) < share_.channels;
        const float* x = op_.x + (row + TokenOf(step, i)) * op_.x_stride + share_.column;
        next_x_[step][2 * i] = exists ? x[ChannelOfPair(i)] : 0;
        next_x_[step][2 * i + 1] = exists ? x[op_.x_stride + ChannelOfPair(i)] : 0;
      }
    }
    next_dt_ = LoadSsdStep(op_, row + block_.lane(), share_.head);
  }
  SIMT_DEVICE void TakeNext() {
    SIMT_UNROLL for (int step = 0; step < kTokenSteps; ++step) {
      SIMT_UNROLL for (int i = 0; i < 8; ++i) x_[step][i] = next_x_[step][i];
    }
  }

  SIMT_DEVICE void SplitInputs() {
    for (int i = block_.thread(); i < kChunk * kStates / 2; i += kSsdPromptThreads) {
      const int t = i / (kStates / 2);
      const int word = i % (kStates / 2);
      s_.b.Set(t, word, Split(s_.raw_b[t][2 * word], s_.raw_b[t][2 * word + 1]));
      s_.c.Set(t, word, Split(s_.raw_c[t][2 * word], s_.raw_c[t][2 * word + 1]));
    }
    // Eight state indices by four pairs of tokens a warp, for the banks' sake.
    for (int i = block_.warp(); i < kStateTiles * kPairs / 4; i += kPromptWarps) {
      const int n = i / (kPairs / 4) * 8 + g_;
      const int pair = i % (kPairs / 4) * 4 + q_;
      s_.b_by_states.Set(n, pair, Split(s_.raw_b[2 * pair][n], s_.raw_b[2 * pair + 1][n]));
    }
  }

  // By one warp, a lane a token. Each s is a sum of its own, ascending, so that no exponent is
  // above 0 and none has lost its digits.
  SIMT_DEVICE void ComputeSteps(float dt) {
    const int lane = block_.lane();
    const float delta = SsdDeltaOf(op_, dt, share_.head);
    const float rate = delta * op_.a[share_.head];
    float sum = 0;         // s(lane, i)
    float from_start = 0;  // s(·, i)
    float entry = 0;
    for (int i = 0; i < kChunk; ++i) {
      const float step = block_.Shuffle(rate, i);
      from_start += step;
      if (i > lane) sum += step;
      if (i == lane) entry = from_start;
      s_.sums[i][lane] = sum;
    }
    s_.delta[lane] = delta;
    s_.entry[lane] = ExpFast(entry);
    s_.exit[lane] = ExpFast(sum) * delta;
    if (lane == 0) s_.loss = ExpMinus1(from_start);
  }

  // W by tiles of 16 by 8 tokens. Those that lie above the diagonal are left out.
  SIMT_DEVICE void Weigh() {
    for (int first = kChunk - 16; first >= 0; first -= 16) {
      const int tile = block_.warp();
      if (tile < kTokenTiles && 8 * tile < first + 16) WeighTile(first, tile);
    }
  }
  SIMT_DEVICE void WeighTile(int first, int tile) {
    // Three sums that do not wait for each other.
    float high[4] = {}, low_c[4] = {}, low_b[4] = {};
    SIMT_UNROLL for (int k = 0; k < kStateSteps; ++k) {
      const SplitA c = s_.c.OperandA(first, k, block_.lane());
      const SplitB b = s_.b.OperandB(8 * tile, k, block_.lane());
      MmaBf16(high, c.high, b.high);
      MmaBf16(low_c, c.low, b.high);
      MmaBf16(low_b, c.high, b.low);
    }
    SIMT_UNROLL for (int half = 0; half < 2; ++half) {
      const int i = first + g_ + 8 * half;
      float weight[2];
      SIMT_UNROLL for (int k = 0; k < 2; ++k) {
        const int j = 8 * tile + 2 * q_ + k;
        const float product = high[2 * half + k] + (low_c[2 * half + k] + low_b[2 * half + k]);
        weight[k] = j <= i ? product * (ExpFast(s_.sums[i][j]) * s_.delta[j]) : 0;
      }
      s_.weights.Set(i, 4 * tile + q_, Split(weight[0], weight[1]));
    }
  }

  SIMT_DEVICE void MultiplyState(float (&y)[kTokenTiles][4]) const {
    SIMT_UNROLL for (int tile = 0; tile < kTokenTiles; ++tile) {
      SIMT_UNROLL for (int k = 0; k < 4; ++k) y[tile][k] = 0;
    }
    SIMT_UNROLL for (int k = 0; k < kStateSteps; ++k) {
      // Two tiles of Sᵀ side by side are an operand.
      SplitA a;
      SIMT_UNROLL for (int i = 0; i < 4; ++i) {
        const float(&tile)[4] = state_[2 * k + i / 2];
        a.Set(i, Split(tile[i % 2 * 2], tile[i % 2 * 2 + 1]));
      }
      SIMT_UNROLL for (int tile = 0; tile < kTokenTiles; ++tile) {
        MmaSplit(y[tile], a, s_.c.OperandB(8 * tile, k, block_.lane()));
      }
    }
    SIMT_UNROLL for (int tile = 0; tile < kTokenTiles; ++tile) {
      SIMT_UNROLL for (int k = 0; k < 4; ++k) y[tile][k] *= s_.entry[8 * tile + 2 * q_ + k % 2];
    }
  }

  SIMT_DEVICE void MultiplyWeights(float (&y)[kTokenTiles][4]) const {
    SIMT_UNROLL for (int step = 0; step < kTokenSteps; ++step) {
      SplitA a;
      SIMT_UNROLL for (int i = 0; i < 4; ++i) {
        a.Set(i, Split(x_[step][2 * i], x_[step][2 * i + 1]));
      }
      SIMT_UNROLL for (int tile = 0; tile < kTokenTiles; ++tile) {
        if (16 * step > 8 * tile + 7) continue;  // tokens after the tile's
        MmaSplit(y[tile], a, s_.weights.OperandB(8 * tile, step, block_.lane()));
      }
    }
  }

  // y + d·x. What a thread has of y it has of x.
  SIMT_DEVICE void Write(int64_t row, const float (&y)[kTokenTiles][4]) const {
    SIMT_UNROLL for (int half = 0; half < 2; ++half) {
      const int channel = channel_ + 8 * half;
      if (channel >= share_.channels) continue;
      const float d = op_.d != nullptr ? op_.d[share_.column + channel] : 0;
      float* out = op_.y + row * op_.y_stride + share_.column + channel;
      SIMT_UNROLL for (int tile = 0; tile < kTokenTiles; ++tile) {
        SIMT_UNROLL for (int k = 0; k < 2; ++k) {
          const float x = x_[tile / 2][4 * (tile % 2) + 2 * half + k];
          const float sum = y[tile][2 * half + k];
          out[(8 * tile + 2 * q_ + k) * op_.y_stride] = op_.d != nullptr ? Fma(d, x, sum) : sum;
        }
      }
    }
  }

  // `position`: of the chunk's last token.
  SIMT_DEVICE void AdvanceState(int64_t position) {
    SplitA a[kTokenSteps];
    SIMT_UNROLL for (int step = 0; step < kTokenSteps; ++step) {
      SIMT_UNROLL for (int i = 0; i < 4; ++i) {
        const int token = TokenOf(step, i);
        a[step].Set(
            i, Split(x_[step][2 * i] * s_.exit[token], x_[step][2 * i + 1] * s_.exit[token + 1]));
      }
    }
    const float loss = s_.loss;
    SIMT_UNROLL for (int tile = 0; tile < kStateTiles; ++tile) {
      SIMT_UNROLL for (int k = 0; k < 4; ++k) {
        state_[tile][k] = Fma(loss, state_[tile][k], state_[tile][k]);
      }
      SIMT_UNROLL for (int step = 0; step < kTokenSteps; ++step) {
        MmaSplit(state_[tile], a[step], s_.b_by_states.OperandB(8 * tile, step, block_.lane()));
      }
    }
    RoundState(KeyOf<State>(op_.state, position));
  }

  SIMT_DEVICE void RoundState(uint32_t key) {
    if constexpr (State::kRounds) {
      const auto row = static_cast<uint32_t>(args_.state_row);
      const auto first = static_cast<uint32_t>(share_.state);
      SIMT_UNROLL for (int tile = 0; tile < kStateTiles; ++tile) {
        SIMT_UNROLL for (int k = 0; k < 4; ++k) {
          const uint32_t element = first + StateOf(tile, k) * row + ChannelOf(k);
          state_[tile][k] = State::Round(state_[tile][k], StateWord(key, element));
        }
      }
    }
  }

  const Block& block_;
  const SsdPromptArgs& args_;
  const SsdScanParams& op_;
  const Segment& segment_;
  SsdPromptShared<kStates>& s_;
  const int states_;
  const SsdShare share_;
  const int g_, q_;
  const int channel_;  // of the share's: the first of the thread's two
  float state_[kStateTiles][4];
  float x_[kTokenSteps][8], next_x_[kTokenSteps][8];
  float next_dt_ = 0;  // of the lane's token
};

template <int kStates, typename State>
struct SsdPromptKernel {
  static constexpr char kName[] = "ssd_prompt";
  static constexpr int kThreads = kSsdPromptThreads;
  static constexpr int kBlocks = 2;
  using Args = SsdPromptArgs;
  using Shared = SsdPromptShared<kStates>;
  static_assert(sizeof(Shared) <= kSharedBytesMax);

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.op.segments[block.y()];
    if (segment.dst_slot < 0) return;
    const SsdCut cut = CutIntoChunks(segment, kChunk);
    if (cut.chunks == 0) return;
    SsdPromptThread<kStates, State>(block, args, segment, block.shared<Shared>()).Run(cut);
  }
};

}  // namespace

void SsdChunks(Stream& stream, const SsdScanParams& params) {
  if (params.segment_count == 0) return;
  SsdPromptArgs args = {params, PaddedLanes(params.head_dim), false};
  args.by_16_bytes = params.state_size % 4 == 0 && RowsAligned16(params.b, params.b_stride) &&
                     RowsAligned16(params.c, params.c_stride);
  const Grid grid = {params.heads * SharesOfAHead(params.head_dim), params.segment_count};
  if (params.state_size > 128) return plain::SsdChunks(stream, params);
  WithStateOf(params.state.format, [&](auto state) {
    using State = decltype(state);
    if (params.state_size <= 16) {
      Launch<SsdPromptKernel<16, State>>(stream, grid, kSsdPromptThreads, args);
    } else if (params.state_size <= 64) {
      Launch<SsdPromptKernel<64, State>>(stream, grid, kSsdPromptThreads, args);
    } else {
      Launch<SsdPromptKernel<128, State>>(stream, grid, kSsdPromptThreads, args);
    }
  });
}

}  // namespace ssmd::kernels::cuda::fast
