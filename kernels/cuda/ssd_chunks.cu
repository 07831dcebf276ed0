// The Mamba-2 recurrence of whole chunks as matrix products, plain: cpu/ssd_chunk_kernel.h has the
// equations and their order. A block takes up to 64 channels of a head and segment through its
// chunks, with their state in shared memory. C_i·B_j, which the heads of a group have in common, is
// made by each of them: a fifth of its products, and no launch to wait for.
//
// Of the 256 threads, thread (channel, part) has the outputs of a quarter of the chunk's tokens,
// and then of a quarter of the state indices. B and C come in tiles of 32 state indices.
#include "kernels/cuda/math.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/ssd_chunks.h"
#include "kernels/cuda/ssd_share.h"
#include "kernels/cuda/state_numbers.h"

namespace ssmd::kernels::cuda::plain {
namespace {

constexpr int kChunk = kSsdChunkTokens;
constexpr int kChunkThreads = 4 * kSsdChannels;
constexpr int kTileStates = 32;
constexpr int kPart = kChunk / 4;  // outputs of a thread
static_assert(kTileStates == kChunk, "a part of either is as long");
constexpr int kProductsOfAThread = kChunk * kChunk / kChunkThreads;
constexpr int kTilePad = 4;  // floats, so that neighbours lie in other banks

struct SsdChunkArgs {
  SsdScanParams op;
  int64_t state_row;
};

template <int kStates>
struct SsdChunkShared {
  static_assert(kStates % kTileStates == 0);
  float state[kStates][kSsdChannels];
  float x[kChunk][kSsdChannels];
  alignas(16) float c[kTileStates][kChunk + kTilePad];  // by state index
  alignas(16) float b[kChunk][kTileStates + kTilePad];  // by token
  // s(j, i) at [i][j + 1], and s(·, i) at [i][0].
  float sums[kChunk][kChunk + 1];
  float inner[kChunk][kChunk];  // C_i·B_j; then (C_i·B_j) e^{s(j, i)} Δ_j
  float delta[kChunk];
  float rate[kChunk];  // Δ·a
  float entry[kChunk];
  float exit[kChunk];
  float loss;
};

template <int kStates, typename State>
class SsdChunkThread {
 public:
  SIMT_DEVICE SsdChunkThread(const Block& block, const SsdChunkArgs& args, const Segment& segment,
                             SsdChunkShared<kStates>& shared)
      : block_(block),
        op_(args.op),
        segment_(segment),
        s_(shared),
        state_row_(args.state_row),
        states_(static_cast<int>(args.op.state_size)),
        share_(SsdShareOf(args.op, block.x(), args.state_row)),
        channel_(block.thread() % kSsdChannels),
        part_(block.thread() / kSsdChannels) {}

  SIMT_DEVICE void Run(const SsdCut& cut) {
    MoveIn(cut.before == 0 ? segment_.src_slot : segment_.dst_slot);
    for (int32_t chunk = 0; chunk < cut.chunks; ++chunk) {
      const int64_t row = segment_.first_row + cut.before + chunk * kChunk;
      b_ = op_.b + row * op_.b_stride + share_.group * op_.state_size;
      c_ = op_.c + row * op_.c_stride + share_.group * op_.state_size;
      LoadInputs(row);
      float y[kPart];
      MultiplyState(y);
      Weigh();
      MultiplyInner(y);
      Write(row, y);
      AdvanceState(segment_.position + cut.before + (chunk + 1) * kChunk - 1);
    }
    MoveOut();
  }

 private:
  SIMT_DEVICE void MoveIn(int32_t slot) {
    const auto* from = StateAt<State>(op_.state, slot) + share_.state + channel_;
    for (int n = part_; n < states_; n += 4) {
      s_.state[n][channel_] = channel_ < share_.padded ? State::Read(from + n * state_row_) : 0;
    }
  }

  // Lanes beyond the last channel were computed with zeros, which is zero unless B is not finite.
  SIMT_DEVICE void MoveOut() {
    auto* to = StateAt<State>(op_.state, segment_.dst_slot) + share_.state + channel_;
    if (channel_ >= share_.padded) return;
    for (int n = part_; n < states_; n += 4) {
      State::Write(to + n * state_row_, channel_ < share_.channels ? s_.state[n][channel_] : 0);
    }
  }

  // x, Δ and Δ·a of a chunk.
  SIMT_DEVICE void LoadInputs(int64_t row) {
    const float* x = op_.x + row * op_.x_stride + share_.column + channel_;
    for (int t = part_; t < kChunk; t += 4) {
      s_.x[t][channel_] = channel_ < share_.channels ? x[t * op_.x_stride] : 0;
    }
    const int token = block_.thread();
    if (token < kChunk) {
      const float delta = SsdDelta(op_, row + token, share_.head);
      s_.delta[token] = delta;
      s_.rate[token] = delta * op_.a[share_.head];
    }
    block_.Sync();
  }

  // A tile of B, and of C if asked, from state index `first` on; zeros beyond the last.
  template <bool kWithC>
  SIMT_DEVICE void LoadTile(int first) {
    const int n = block_.thread() % kTileStates;
    for (int t = block_.thread() / kTileStates; t < kChunk; t += kChunkThreads / kTileStates) {
      const bool exists = first + n < states_;
      s_.b[t][n] = exists ? b_[t * op_.b_stride + first + n] : 0;
      if constexpr (kWithC) s_.c[n][t] = exists ? c_[t * op_.c_stride + first + n] : 0;
    }
    block_.Sync();
  }

  // C·S of the thread's tokens, and the chunk's C_i·B_j.
  SIMT_DEVICE void MultiplyState(float (&y)[kPart]) {
    const int i = block_.thread() / 8;
    const int j = block_.thread() % 8;
    float products[kProductsOfAThread] = {};
    for (float& sum : y) sum = 0;
    for (int first = 0; first < states_; first += kTileStates) {
      LoadTile<true>(first);
      const int count = states_ - first < kTileStates ? states_ - first : kTileStates;
      for (int n = 0; n < count; ++n) {
        const float state = s_.state[first + n][channel_];
        const float* c = s_.c[n];
        for (int k = 0; k < kPart; ++k) y[k] = Fma(c[part_ * kPart + k], state, y[k]);
        for (int k = 0; k < kProductsOfAThread; ++k) {
          products[k] = Fma(c[i], s_.b[j + 8 * k][n], products[k]);
        }
      }
      block_.Sync();
    }
    for (int k = 0; k < kProductsOfAThread; ++k) s_.inner[i][j + 8 * k] = products[k];
  }

  // The weights that the channels of a head share. Each s is a sum of its own, ascending.
  SIMT_DEVICE void Weigh() {
    const int first = block_.thread();
    if (first <= kChunk) {
      float sum = 0;
      if (first > 0) s_.sums[first - 1][first] = 0;
      for (int i = first; i < kChunk; ++i) {
        sum += s_.rate[i];
        s_.sums[i][first] = sum;
      }
    }
    block_.Sync();
    const int i = block_.thread() / 8;
    for (int j = block_.thread() % 8; j <= i; j += 8) {
      s_.inner[i][j] = Exp(s_.sums[i][j + 1]) * s_.delta[j] * s_.inner[i][j];
    }
    const int token = block_.thread();
    if (token < kChunk) {
      s_.entry[token] = Exp(s_.sums[token][0]);
      s_.exit[token] = Exp(s_.sums[kChunk - 1][token + 1]) * s_.delta[token];
    }
    if (token == 0) s_.loss = ExpMinus1(s_.sums[kChunk - 1][0]);
    block_.Sync();
  }

  SIMT_DEVICE void MultiplyInner(float (&y)[kPart]) const {
    const int token = part_ * kPart;
    for (int k = 0; k < kPart; ++k) y[k] *= s_.entry[token + k];
    for (int j = 0; j < token + kPart; ++j) {
      const float x = s_.x[j][channel_];
      for (int k = 0; k < kPart; ++k) {
        if (j <= token + k) y[k] = Fma(s_.inner[token + k][j], x, y[k]);
      }
    }
  }

  SIMT_DEVICE void Write(int64_t row, const float (&y)[kPart]) const {
    if (channel_ >= share_.channels) return;
    float* out = op_.y + row * op_.y_stride + share_.column + channel_;
    for (int k = 0; k < kPart; ++k) {
      const int token = part_ * kPart + k;
      out[token * op_.y_stride] =
          op_.d != nullptr ? Fma(op_.d[share_.column + channel_], s_.x[token][channel_], y[k])
                           : y[k];
    }
  }

  // `position`: of the chunk's last token.
  SIMT_DEVICE void AdvanceState(int64_t position) {
    const uint32_t key = KeyOf<State>(op_.state, position);
    block_.Sync();  // all have read x
    for (int t = part_; t < kChunk; t += 4) s_.x[t][channel_] *= s_.exit[t];
    for (int first = 0; first < states_; first += kTileStates) {
      LoadTile<false>(first);
      AdvanceTile(first, key);
      block_.Sync();
    }
  }

  // Rows beyond the last state index hold anything, and nobody reads them.
  SIMT_DEVICE void AdvanceTile(int first, uint32_t key) {
    const int begin = part_ * kPart;
    float sums[kPart];
    for (int k = 0; k < kPart; ++k) {
      const float before = s_.state[first + begin + k][channel_];
      sums[k] = Fma(s_.loss, before, before);
    }
    for (int j = 0; j < kChunk; ++j) {
      const float x = s_.x[j][channel_];
      for (int k = 0; k < kPart; ++k) sums[k] = Fma(s_.b[j][begin + k], x, sums[k]);
    }
    for (int k = 0; k < kPart; ++k) {
      const int n = first + begin + k;
      const uint32_t element = ElementOf(share_.state + n * state_row_ + channel_);
      s_.state[n][channel_] = KeptState<State>(sums[k], key, element);
    }
  }

  const Block& block_;
  const SsdScanParams& op_;
  const Segment& segment_;
  SsdChunkShared<kStates>& s_;
  const int64_t state_row_;
  const int states_;
  const SsdShare share_;
  const int channel_;
  const int part_;
  const float* b_ = nullptr;  // of the chunk and the head's group
  const float* c_ = nullptr;
};

template <int kStates, typename State>
struct SsdChunkKernel {
  static constexpr char kName[] = "ssd_chunks";
  static constexpr int kThreads = kChunkThreads;
  static constexpr int kBlocks = 2;
  using Args = SsdChunkArgs;
  using Shared = SsdChunkShared<kStates>;
  static_assert(sizeof(Shared) <= kSharedBytesMax);

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.op.segments[block.y()];
    if (segment.dst_slot < 0) return;
    const SsdCut cut = CutIntoChunks(segment, kChunk);
    if (cut.chunks == 0) return;
    SsdChunkThread<kStates, State>(block, args, segment, block.shared<Shared>()).Run(cut);
  }
};

}  // namespace

void SsdChunks(Stream& stream, const SsdScanParams& params) {
  const SsdChunkArgs args = {params, PaddedLanes(params.head_dim)};
  const Grid grid = {params.heads * SharesOfAHead(params.head_dim), params.segment_count};
  WithStateOf(params.state.format, [&](auto state) {
    using State = decltype(state);
    if (params.state_size <= 128) {
      Launch<SsdChunkKernel<128, State>>(stream, grid, kChunkThreads, args);
    } else {
      Launch<SsdChunkKernel<kMaxStateSize, State>>(stream, grid, kChunkThreads, args);
    }
  });
}

}  // namespace ssmd::kernels::cuda::plain
