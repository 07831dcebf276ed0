// Memories of signals, plain: a block a channel of a segment, whose coefficients stay in shared
// memory. A thread has a node of LegS's quadrature, or a coefficient. What the polynomials at a
// node add to each coefficient is written down for some coefficients at a time, and summed up by
// eight threads a coefficient: the eight runs of cpu/memory_scan.cc, operation for operation.
#include "kernels/cuda/double_math.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/states.h"

namespace ssmd::kernels::cuda::plain {
namespace {

constexpr int kMemoryThreads = static_cast<int>(kMaxMemoryState);
constexpr int kMemoryRuns = static_cast<int>(kMemoryLanes);
// Coefficients that are summed up together.
constexpr int kSummedTogether = kMemoryThreads / kMemoryRuns;

struct MemoryShared {
  FlushedDouble c[kMemoryThreads];
  // Each row ends with a gap, so that rows that a warp reads together lie in different banks.
  FlushedDouble parts[kSummedTogether][kMemoryThreads + kMemoryRuns];
};

class MemoryThread {
 public:
  SIMT_DEVICE MemoryThread(const Block& block, const MemoryScanParams& op, const Segment& segment,
                           MemoryShared& shared)
      : block_(block),
        op_(op),
        segment_(segment),
        shared_(shared),
        thread_(block.thread()),
        size_(static_cast<int>(op.state_size)),
        padded_((size_ + kMemoryRuns - 1) / kMemoryRuns * kMemoryRuns) {}

  SIMT_DEVICE void Run() {
    const int64_t channel = block_.x();
    const double* from = DoublesAt(op_.coefficients, segment_.src_slot) + channel * size_;
    const double* energy = DoublesAt(op_.energy, segment_.src_slot) + channel * 2;
    if (thread_ < size_) shared_.c[thread_] = from[thread_];
    squares_ = energy[0];
    lost_ = energy[1];
    TakeSamples(channel);
    block_.Sync();
    double* to = DoublesAt(op_.coefficients, segment_.dst_slot) + channel * size_;
    if (thread_ < size_) to[thread_] = shared_.c[thread_].value;
    if (thread_ > 1) return;
    double* total = DoublesAt(op_.energy, segment_.dst_slot) + channel * 2;
    total[thread_] = (thread_ == 0 ? squares_ : lost_).value;
  }

 private:
  // The channel's: every so many tokens.
  SIMT_DEVICE void TakeSamples(int64_t channel) {
    const int64_t end = segment_.position + segment_.length;
    int64_t position = segment_.position / op_.channels * op_.channels + channel;
    if (position < segment_.position) position += op_.channels;
    for (; position < end; position += op_.channels) {
      const int32_t token = op_.token_ids[segment_.first_row + (position - segment_.position)];
      const double u = FloatOf(static_cast<uint32_t>(token) << 1);  // SampleOfToken
      AddSquare(u);
      block_.Sync();
      Step(position / op_.channels, u);
    }
  }

  SIMT_DEVICE void AddSquare(FlushedDouble u) {
    const FlushedDouble square = u * u;
    const FlushedDouble sum = squares_ + square;
    lost_ += squares_.value >= square.value ? (squares_ - sum) + square : (square - sum) + squares_;
    squares_ = sum;
  }

  SIMT_DEVICE void Step(int64_t k, FlushedDouble u) {
    switch (op_.step) {
      case MemoryStep::kLegsExact:
        return StepLegsExact(k, u);
      case MemoryStep::kLegsBilinear:
        if (thread_ == 0) StepLegsBilinear(k, u);
        return;
      case MemoryStep::kDense:
        return StepDense(u);
    }
  }

  SIMT_DEVICE void StepLegsExact(int64_t k, FlushedDouble u) {
    const FlushedDouble inverse = FlushedDouble(1) / static_cast<double>(k + 1);
    const FlushedDouble squeeze = static_cast<double>(k) * inverse;
    const FlushedDouble pull = Pull(u);
    FlushedDouble place = 0, before = 0, now = 0;
    if (thread_ < padded_) place = 2 * squeeze * op_.nodes[thread_] - 1;
    for (int first = 0; first < size_; first += kSummedTogether) {
      for (int n = first; n < first + kSummedTogether && n < size_ && thread_ < padded_; ++n) {
        if (n > 0) {
          const double shift = LoadReadOnly(op_.shifts + (n - 1) * padded_ + thread_);
          const FlushedDouble next =
              op_.up[n - 1] * (place * now) + shift - op_.down[n - 1] * before;
          before = now;
          now = next;
        }
        shared_.parts[n - first][thread_] = pull * now;
      }
      block_.Sync();
      const FlushedDouble sum = SumOfParts();
      const int n = first + thread_ / kMemoryRuns;
      if (n < size_ && thread_ % kMemoryRuns == 0) Move(n, u, squeeze, inverse, sum);
      block_.Sync();
    }
  }
  // w_j g_j of this thread's node.
  SIMT_DEVICE FlushedDouble Pull(FlushedDouble u) const {
    if (thread_ >= padded_) return 0;
    FlushedDouble old = 0;
    for (int n = 0; n < size_; ++n) {
      old += shared_.c[n] * LoadReadOnly(op_.values + n * padded_ + thread_);
    }
    return op_.weights[thread_] * (old - u);
  }
  // Of the coefficient whose threads these are; all threads of a warp call it.
  SIMT_DEVICE FlushedDouble SumOfParts() const {
    const auto& parts = shared_.parts[thread_ / kMemoryRuns];
    FlushedDouble sum = 0;
    for (int j = thread_ % kMemoryRuns; j < padded_; j += kMemoryRuns) sum += parts[j];
    for (int half = kMemoryRuns / 2; half > 0; half /= 2) {
      sum += block_.ShuffleXor(sum.value, half);
    }
    return sum;
  }
  SIMT_DEVICE void Move(int n, FlushedDouble u, FlushedDouble squeeze, FlushedDouble inverse,
                        FlushedDouble sum) {
    FlushedDouble& c = shared_.c[n];
    if (n == 0) {
      c -= (c - u) * inverse;
    } else {
      c += (squeeze * op_.roots[n] * sum - c) * inverse;
    }
  }

  // By one thread: each coefficient needs those before it.
  SIMT_DEVICE void StepLegsBilinear(int64_t k, FlushedDouble u) {
    if (k == 0) {
      for (int n = 0; n < size_; ++n) shared_.c[n] = n == 0 ? u : 0;
      return;
    }
    const FlushedDouble half = FlushedDouble(0.5) / static_cast<double>(k);
    FlushedDouble sum = 0;
    for (int n = 0; n < size_; ++n) {
      const FlushedDouble rate = half * static_cast<double>(n + 1);
      const FlushedDouble old = shared_.c[n];
      const FlushedDouble root = op_.roots[n];
      const FlushedDouble now = ((1 - rate) * old + half * root * (2 * u - sum)) / (1 + rate);
      shared_.c[n] = now;
      sum += root * (old + now);
    }
  }

  SIMT_DEVICE void StepDense(FlushedDouble u) {
    FlushedDouble next = 0;
    if (thread_ < size_) {
      next = op_.b[thread_] * u;
      for (int m = 0; m < size_; ++m) {
        next += LoadReadOnly(op_.a + m * padded_ + thread_) * shared_.c[m];
      }
    }
    block_.Sync();
    if (thread_ < size_) shared_.c[thread_] = next;
  }

  const Block& block_;
  const MemoryScanParams& op_;
  const Segment& segment_;
  MemoryShared& shared_;
  const int thread_;
  const int size_;
  const int padded_;  // PaddedMemoryState
  // Every thread keeps them.
  FlushedDouble squares_, lost_;
};

struct MemoryScanKernel {
  static constexpr char kName[] = "memory_scan";
  static constexpr int kThreads = kMemoryThreads;
  using Args = MemoryScanParams;
  using Shared = MemoryShared;
  static_assert(sizeof(Shared) <= kSharedBytesMax);

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.segments[block.y()];
    if (segment.dst_slot < 0) return;
    MemoryThread(block, args, segment, block.shared<Shared>()).Run();
  }
};

}  // namespace

void MemoryScan(Stream& stream, const MemoryScanParams& params) {
  if (params.segment_count == 0) return;
  const Grid grid = {params.channels, params.segment_count};
  Launch<MemoryScanKernel>(stream, grid, MemoryScanKernel::kThreads, params);
}

}  // namespace ssmd::kernels::cuda::plain
