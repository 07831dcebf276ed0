// HiPPO-LegS, plain. The bilinear step has a thread a channel of a segment. The exact one has a
// block of 16 channels, which makes 16 rows of the step's matrix together and then gives each to a
// thread of each channel; cpu/legs_kernel.h says what matrix that is.
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/states.h"

namespace ssmd::kernels::cuda::plain {
namespace {

// The channel of a thread, and where its state is.
struct LegsChannel {
  int64_t channel;
  int64_t lanes;  // from one state index to the next
  bool exists;
  const float* from;
  float* to;
};
SIMT_DEVICE LegsChannel LegsChannelOf(const LegsScanParams& op, const Segment& segment,
                                      int64_t channel, int64_t lanes) {
  return {channel, lanes, channel < op.channels, FloatsAt(op.state, segment.src_slot) + channel,
          FloatsAt(op.state, segment.dst_slot) + channel};
}

SIMT_DEVICE float LegsInput(const LegsScanParams& op, const LegsChannel& at, int64_t row) {
  return at.exists ? op.u[row * op.u_stride + at.channel] : 0;
}
// d · u, to which the coefficients' part is added.
SIMT_DEVICE float LegsFeedThrough(const LegsScanParams& op, const LegsChannel& at, float u) {
  return op.output != nullptr && at.exists ? op.d[at.channel] * u : 0;
}
SIMT_DEVICE float AddLegs(const LegsScanParams& op, const LegsChannel& at, int64_t n, float h,
                          float y) {
  if (op.output == nullptr) return y;
  return Fma(LoadReadOnly(op.output + n * at.lanes + at.channel), h, y);
}
SIMT_DEVICE void WriteLegs(const LegsScanParams& op, const LegsChannel& at, int64_t row, float y) {
  if (op.output != nullptr && at.exists) op.y[row * op.y_stride + at.channel] = y;
}

struct LegsBilinearKernel {
  static constexpr char kName[] = "legs_bilinear";
  static constexpr int kThreads = 64;
  using Args = LegsScanParams;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.segments[block.y()];
    const int64_t lanes = (args.channels + kVectorLanes - 1) / kVectorLanes * kVectorLanes;
    const int64_t channel = block.x() * kThreads + block.thread();
    if (segment.dst_slot < 0 || channel >= lanes) return;
    const LegsChannel at = LegsChannelOf(args, segment, channel, lanes);
    for (int64_t n = 0; n < args.state_size; ++n) {
      at.to[n * lanes] = at.exists ? at.from[n * lanes] : 0;
    }
    for (int32_t t = 0; t < segment.length && at.exists; ++t) {
      const int64_t row = segment.first_row + t;
      const float u = LegsInput(args, at, row);
      const int64_t position = segment.position + t;
      WriteLegs(args, at, row, position == 0 ? Start(args, at, u) : Step(args, at, position, u));
    }
  }

 private:
  SIMT_DEVICE static float Start(const Args& args, const LegsChannel& at, float u) {
    for (int64_t n = 1; n < args.state_size; ++n) at.to[n * at.lanes] = 0;
    at.to[0] = u;
    return AddLegs(args, at, 0, u, LegsFeedThrough(args, at, u));
  }
  SIMT_DEVICE static float Step(const Args& args, const LegsChannel& at, int64_t position,
                                float u) {
    const float half = Divide(0.5f, static_cast<float>(position));
    float sum = -2 * u;
    float y = LegsFeedThrough(args, at, u);
    for (int64_t n = 0; n < args.state_size; ++n) {
      const auto below = static_cast<float>(n);
      const auto count = static_cast<float>(n + 1);
      const float root = Sqrt(static_cast<float>(2 * n + 1));
      const float shrink = Divide(1, Fma(half, count, 1));
      const float part = half * shrink;
      const float old = at.to[n * at.lanes];
      const float h = old - Fma(root * part, sum, (count + count) * part * old);
      sum = Fma(Fma(-half, below, 1) * shrink, sum, (root + root) * shrink * old);
      at.to[n * at.lanes] = h;
      y = AddLegs(args, at, n, h, y);
    }
    return y;
  }
};

constexpr int kLegsParts = 16;

struct LegsExactShared {
  // As LegendreTerms.
  double beta[kMaxModes + 2];
  double inverse[kMaxModes + 1];
  double gamma[kMaxModes + 1];
  // Coefficients of the last three polynomials in turn, m from 1 on; zero before and behind.
  double expansion[3][kMaxModes + 3];
  float held[kMaxModes];
  float rows[kLegsParts][kMaxModes];
  float h[2][kMaxModes][kVectorLanes];  // before a token and after it, in turn
};

class LegsExactThread {
 public:
  SIMT_DEVICE LegsExactThread(const Block& block, const LegsScanParams& op, const Segment& segment,
                              LegsExactShared& shared)
      : block_(block),
        op_(op),
        segment_(segment),
        shared_(shared),
        size_(static_cast<int>(op.state_size)),
        lane_(static_cast<int>(block.thread() % kVectorLanes)),
        part_(static_cast<int>(block.thread() / kVectorLanes)),
        at_(LegsChannelOf(op, segment, block.x() * kVectorLanes + lane_,
                          block.grid_x() * kVectorLanes)) {}

  SIMT_DEVICE void Run() {
    ComputeTerms();
    for (int n = part_; n < size_; n += kLegsParts) {
      shared_.h[0][n][lane_] = at_.exists ? at_.from[n * at_.lanes] : 0;
    }
    for (int32_t t = 0; t < segment_.length; ++t) Take(t);
    for (int n = part_; n < size_; n += kLegsParts) {
      at_.to[n * at_.lanes] = at_.exists ? shared_.h[segment_.length % 2][n][lane_] : 0;
    }
  }

 private:
  SIMT_DEVICE void ComputeTerms() {
    for (int n = block_.thread(); n <= size_ + 1; n += block_.threads()) {
      const auto degree = static_cast<double>(n);
      const double gamma = n == 0 ? 0 : 1 / Sqrt(4 * degree * degree - 1);
      shared_.beta[n] = n <= size_ ? degree * gamma : 0;
      if (n > size_) continue;
      shared_.gamma[n] = gamma;
      shared_.inverse[n] = n == 0 ? 0 : 1 / (degree * gamma);
    }
  }

  SIMT_DEVICE void Take(int32_t t) {
    const auto& h = shared_.h[t % 2];
    auto& next = shared_.h[1 - t % 2];
    const int64_t row = segment_.first_row + t;
    const float u = LegsInput(op_, at_, row);
    const int64_t position = segment_.position + t;
    block_.Sync();
    if (position == 0) {
      for (int n = part_; n < size_; n += kLegsParts) next[n][lane_] = n == 0 ? u : 0;
    } else {
      Step(position, u, h, next);
    }
    block_.Sync();
    if (part_ != 0) return;
    float y = LegsFeedThrough(op_, at_, u);
    for (int n = 0; n < size_; ++n) y = AddLegs(op_, at_, n, next[n][lane_], y);
    WriteLegs(op_, at_, row, y);
  }

  using Columns = float[kMaxModes][kVectorLanes];
  SIMT_DEVICE void Step(int64_t position, float u, const Columns& h, Columns& next) {
    const double rest = 1 / (static_cast<double>(position) + 1);
    const double squeeze = static_cast<double>(position) * rest;
    StartExpansion();
    if (block_.thread() == 0) ComputeHeld(rest);
    block_.Sync();
    for (int first = 0; first < size_; first += kLegsParts) {
      const int rows = size_ - first < kLegsParts ? size_ - first : kLegsParts;
      for (int r = 0; r < rows; ++r) {
        MakeRow(first + r, squeeze, rest, shared_.rows[r]);
        block_.Sync();
      }
      if (part_ < rows) {
        const int n = first + part_;
        float sum = shared_.held[n] * u;
        for (int m = 0; m <= n; ++m) sum = Fma(shared_.rows[part_][m], h[m][lane_], sum);
        next[n][lane_] = h[n][lane_] + sum;
      }
      block_.Sync();
    }
  }

  SIMT_DEVICE void StartExpansion() {
    for (int m = block_.thread(); m < size_ + 3; m += block_.threads()) {
      for (auto& row : shared_.expansion) row[m] = 0;
      if (m == 1) shared_.expansion[1][m] = 1;
    }
  }
  SIMT_DEVICE void ComputeHeld(double rest) {
    const double z = 1 - 2 * rest;
    double last = 0;
    double p = 1;
    for (int n = 0; n < size_; ++n) {
      const double after = (z * p - shared_.beta[n] * last) * shared_.inverse[n + 1];
      const double held = (shared_.gamma[n] * last - shared_.gamma[n + 1] * after) / 2;
      shared_.held[n] = static_cast<float>(n == 0 ? rest : held);
      last = p;
      p = after;
    }
  }
  // Row n of the matrix, and n + 1 of the expansion.
  SIMT_DEVICE void MakeRow(int n, double squeeze, double rest, float (&row)[kMaxModes]) {
    const double* last = shared_.expansion[n % 3] + 1;
    const double* e = shared_.expansion[(n + 1) % 3] + 1;
    double* after = shared_.expansion[(n + 2) % 3] + 1;
    for (int m = block_.thread(); m <= n + 1 && m <= size_; m += block_.threads()) {
      if (m <= n) row[m] = static_cast<float>(m < n ? squeeze * e[m] : squeeze * e[m] - 1);
      const double above = shared_.beta[m + 1] * e[m + 1];
      const double moved = squeeze * Fma(shared_.beta[m], e[m - 1], above);
      const double own = Fma(-rest, e[m], moved);
      after[m] = shared_.inverse[n + 1] * Fma(-shared_.beta[n], last[m], own);
    }
  }

  const Block& block_;
  const LegsScanParams& op_;
  const Segment& segment_;
  LegsExactShared& shared_;
  const int size_;
  const int lane_;  // the channel's, of the block's
  const int part_;  // which of the rows that are made together
  const LegsChannel at_;
};

struct LegsExactKernel {
  static constexpr char kName[] = "legs_exact";
  static constexpr int kThreads = kLegsParts * kVectorLanes;
  using Args = LegsScanParams;
  using Shared = LegsExactShared;
  static_assert(sizeof(Shared) <= kSharedBytesMax);

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.segments[block.y()];
    if (segment.dst_slot < 0) return;
    LegsExactThread(block, args, segment, block.shared<Shared>()).Run();
  }
};

}  // namespace

void LegsScan(Stream& stream, const LegsScanParams& params) {
  if (params.segment_count == 0) return;
  const int64_t lanes = PaddedLanes(params.channels);
  if (params.step == LegsStep::kExact) {
    const Grid grid = {lanes / kVectorLanes, params.segment_count};
    Launch<LegsExactKernel>(stream, grid, LegsExactKernel::kThreads, params);
  } else {
    constexpr int kThreads = LegsBilinearKernel::kThreads;
    const Grid grid = {(lanes + kThreads - 1) / kThreads, params.segment_count};
    Launch<LegsBilinearKernel>(stream, grid, kThreads, params);
  }
}

}  // namespace ssmd::kernels::cuda::plain
