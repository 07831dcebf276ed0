// A thread's share of the Mamba-1 recurrence of one token a row: states are read once and written
// once, four numbers at a time, with those of all a thread's rows on their way together.
//
// A warp takes 32 channels: lane 8r + i has channels 4i to 4i + 3 and run r of the state indices.
// Step size, gate and output of channel 4i + r are its own. `Around` is what is about the
// recurrence:
//
//   float Dt(index, row, channel);            // before softplus
//   float BScale(index), CScale(index);       // of B and C
//   void Write(row, first, exists, value);    // y of the lane's own channel; all lanes of a warp
//
// where `index` is the segment's and `first` the first of the lane's four channels.
#ifndef SSMD_KERNELS_CUDA_SCAN_STEP_H_
#define SSMD_KERNELS_CUDA_SCAN_STEP_H_

#include "kernels/cuda/scan_fast.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/state_numbers.h"
#include "kernels/cuda/vectors.h"

namespace ssmd::kernels::cuda::fast {

inline constexpr int kStepChannels = 32;  // of a warp
inline constexpr int kStepStates = 4;     // state indices that a thread has in registers

// A row, as a thread sees it.
template <typename State>
struct StepRow {
  int64_t index = 0;  // of its segment
  int32_t row = 0;
  // Its states, at the thread's channels; null of a padded row.
  const typename State::Element* from = nullptr;
  typename State::Element* to = nullptr;
  uint32_t key = 0;
  float gate = 0;       // silu(z) of its own channel
  float delta[4] = {};  // of its channels
  float delta_x[4] = {};
  float sums[4] = {};
};

template <int kRows, typename State, typename Around>
class ScanStepThread {
 public:
  using Row = StepRow<State>;

  // Of a warp whose first channel is `channel`.
  SIMT_DEVICE ScanStepThread(const Block& block, const SelectiveScanParams& op,
                             const Around& around, int64_t channel)
      : block_(block),
        op_(op),
        around_(around),
        run_(RunOf(block.lane() / 8, static_cast<int>(op.state_size))),
        first_(channel + 4 * (block.lane() % 8)),
        channel_(first_ + block.lane() / 8),
        exists_(channel_ < op.channels),
        at_((first_ / kChannelBlock * op.state_size + run_.begin) * kChannelBlock +
            first_ % kChannelBlock) {}

  // Rows of the segments from `index` on, and their first states.
  struct Work {
    Row rows[kRows];
    Floats4 h[kRows][kStepStates];
    Floats4 rate[kStepStates];
  };

  // Sends for the states: they come from furthest away.
  SIMT_DEVICE void Begin(int64_t index, Work& work) const {
    SIMT_UNROLL for (int r = 0; r < kRows; ++r) Find(index + r, work.rows[r]);
    Load(0, work);
  }
  SIMT_DEVICE void Finish(Work& work) const {
    SIMT_UNROLL for (int r = 0; r < kRows; ++r) Prepare(work.rows[r]);
    Advance(0, work);
    const int length = static_cast<int>(op_.state_size + kRuns - 1) / kRuns;
    for (int n = kStepStates; n < length; n += kStepStates) {
      Load(n, work);
      Advance(n, work);
    }
    SIMT_UNROLL for (int r = 0; r < kRows; ++r) Write(work.rows[r]);
  }

 private:
  SIMT_DEVICE void Find(int64_t index, Row& row) const {
    row = Row();
    if (index >= op_.segment_count) return;
    const Segment segment = op_.segments[index];
    if (segment.dst_slot < 0) return;
    row.index = index;
    row.row = segment.first_row;
    row.from = StateAt<State>(op_.state, segment.src_slot) + at_;
    row.to = StateAt<State>(op_.state, segment.dst_slot) + at_;
  }

  SIMT_DEVICE void Prepare(Row& row) const {
    if (row.from == nullptr) return;
    if (State::kRounds) row.key = KeyOf<State>(op_.state, op_.segments[row.index].position);
    const float delta = Softplus(exists_ ? around_.Dt(row.index, row.row, channel_) : 0);
    if (exists_) row.gate = Silu(op_.z[row.row * op_.z_stride + channel_]);
    const float delta_x = delta * (exists_ ? X(row) : 0);
    SIMT_UNROLL for (int c = 0; c < 4; ++c) {
      row.delta[c] = block_.Shuffle(delta, block_.lane() % 8 + 8 * c);
      row.delta_x[c] = block_.Shuffle(delta_x, block_.lane() % 8 + 8 * c);
    }
  }

  // State indices [n, n + kStepStates) of the run.
  SIMT_DEVICE void Load(int n, Work& work) const {
    SIMT_UNROLL for (int i = 0; i < kStepStates; ++i) {
      const bool exists = n + i < run_.count;
      SIMT_UNROLL for (int r = 0; r < kRows; ++r) {
        const auto* from = work.rows[r].from;
        work.h[r][i] =
            exists && from != nullptr ? State::Read4(from + (n + i) * kChannelBlock) : Floats4{};
      }
      const Floats4 a = exists ? LoadReadOnly4(op_.a + at_ + (n + i) * kChannelBlock) : Floats4{};
      SIMT_UNROLL for (int k = 0; k < 4; ++k) {
        Component(work.rate[i], k) = Component(a, k) * kLog2OfE;
      }
    }
  }
  SIMT_DEVICE void Advance(int n, Work& work) const {
    SIMT_UNROLL for (int r = 0; r < kRows; ++r) {
      Row& row = work.rows[r];
      if (row.from == nullptr) continue;
      const float* b = op_.b + row.row * op_.b_stride + run_.begin + n;
      const float* c = op_.c + row.row * op_.c_stride + run_.begin + n;
      const float b_scale = around_.BScale(row.index);
      const float c_scale = around_.CScale(row.index);
      SIMT_UNROLL for (int i = 0; i < kStepStates; ++i) {
        if (n + i >= run_.count) continue;
        const int64_t offset = (n + i) * kChannelBlock;
        AdvanceChannels(b[i] * b_scale, c[i] * c_scale, work.rate[i], offset, row, work.h[r][i]);
        State::Write4(row.to + offset, work.h[r][i]);
      }
    }
  }

  // `offset`: of the state index, from the run's first.
  SIMT_DEVICE void AdvanceChannels(float b, float c, const Floats4& rate, int64_t offset, Row& row,
                                   Floats4& h) const {
    SIMT_UNROLL for (int k = 0; k < 4; ++k) {
      AdvanceElement(row.delta[k], row.delta_x[k], b, c, Component(rate, k), Component(h, k),
                     row.sums[k]);
      Component(h, k) = KeptState<State>(Component(h, k), row.key, ElementOf(at_ + offset + k));
      // Padding would not stay zero where B is not finite.
      if (first_ + k >= op_.channels) Component(h, k) = 0;
    }
  }

  // x of its own channel.
  SIMT_DEVICE float X(const Row& row) const { return op_.x[row.row * op_.x_stride + channel_]; }

  SIMT_DEVICE void Write(const Row& row) const {
    if (row.from == nullptr) return;
    const float sum = SumRuns(block_, row.sums);
    const float y = exists_ ? Fma(LoadReadOnly(op_.d + channel_), X(row), sum) * row.gate : 0.0f;
    around_.Write(row.row, first_, exists_, y);
  }

  const Block& block_;
  const SelectiveScanParams& op_;
  const Around& around_;
  const StateRun run_;
  const int64_t first_;    // of the thread's channels
  const int64_t channel_;  // its own
  const bool exists_;
  const int64_t at_;  // of the first channel and the run's first index
};

}  // namespace ssmd::kernels::cuda::fast

#endif  // SSMD_KERNELS_CUDA_SCAN_STEP_H_
