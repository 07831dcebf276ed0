// The recurrence of RWKV-7 with what surrounds it, plain.
#include "kernels/cuda/math.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/states.h"
#include "kernels/cuda/wkv_head.h"

namespace ssmd::kernels::cuda::plain {
namespace {

struct Wkv7Shared {
  float r[kMaxWkvHead];
  float loss[kMaxWkvHead];  // w − 1
  float k[kMaxWkvHead];
  float kappa[kMaxWkvHead];
  float back[kMaxWkvHead];  // κ·a: what of the removed is taken out of each row
  float o[kMaxWkvHead];
  float squares, sum, deviations, bonus;
};

constexpr float kDecayRate = 0x1.368b3p-1f;  // e^{−1/2}

class Wkv7Thread {
 public:
  SIMT_DEVICE Wkv7Thread(const Block& block, const Wkv7Params& op, const Segment& segment,
                         Wkv7Shared& shared)
      : block_(block),
        op_(op),
        segment_(segment),
        shared_(shared),
        dim_(op.head_dim),
        mine_(block.thread()),
        first_(block.x() * op.head_dim),
        column_(first_ + mine_),
        exists_(mine_ < op.head_dim) {}

  SIMT_DEVICE void Run() {
    const float* from = FloatsAt(op_.state, segment_.src_slot) + first_ * dim_ + mine_;
    float* to = FloatsAt(op_.state, segment_.dst_slot) + first_ * dim_ + mine_;
    for (int64_t t = 0; t < segment_.length; ++t) {
      const int64_t row = segment_.first_row + t;
      block_.Sync();  // the token before has been read
      const float v = Prepare(row * op_.x_stride + column_);
      if (exists_) shared_.o[mine_] = Step(t == 0 ? from : to, to, v);
      block_.Sync();
      WriteOutput(row, v);
    }
  }

 private:
  // Leaves the token in shared memory, and returns the thread's value.
  SIMT_DEVICE float Prepare(int64_t at) {
    float v = 0, a = 0, kappa = 0;
    if (exists_) {
      v = op_.v[at];
      if (op_.v_gate != nullptr) v = Fma(op_.v_first[at] - v, Sigmoid(op_.v_gate[at]), v);
      a = Sigmoid(op_.a_raw[at]);
      kappa = op_.k[at] * op_.k_k[column_];
      shared_.r[mine_] = op_.r[at];
      shared_.loss[mine_] = ExpMinus1(-kDecayRate * Sigmoid(op_.w_raw[at]));
      shared_.k[mine_] = op_.k[at] * Fma(a - 1.0f, op_.k_a[column_], 1.0f);
      shared_.kappa[mine_] = kappa;
    }
    block_.Sync();
    const float norm = Sqrt(SumOverHead(block_, dim_, &shared_.squares, [&](float sum, int i) {
      return Fma(shared_.kappa[i], shared_.kappa[i], sum);
    }));
    if (exists_) {
      kappa = Divide(kappa, norm > 1e-12f ? norm : 1e-12f);
      shared_.kappa[mine_] = kappa;
      shared_.back[mine_] = kappa * a;
    }
    block_.Sync();
    return v;
  }

  // Advances the matrix's part of the thread's value and returns what r reads of it.
  SIMT_DEVICE float Step(const float* from, float* to, float v) const {
    float sum = 0;
    for (int64_t j = 0; j < dim_; ++j) sum = Fma(shared_.kappa[j], from[j * dim_], sum);
    const float removed = 0.0f - sum;
    float o = 0;
    for (int64_t j = 0; j < dim_; ++j) {
      const float old = from[j * dim_];
      float state = Fma(shared_.loss[j], old, old);
      state = Fma(shared_.back[j], removed, state);
      state = Fma(shared_.k[j], v, state);
      o = Fma(shared_.r[j], state, o);
      to[j * dim_] = state;
    }
    return o;
  }

  SIMT_DEVICE void WriteOutput(int64_t row, float v) const {
    const auto cols = static_cast<float>(dim_);
    const float mean = Divide(SumOverHead(block_, dim_, &shared_.sum,
                                          [&](float sum, int i) { return sum + shared_.o[i]; }),
                              cols);
    const float squares = SumOverHead(block_, dim_, &shared_.deviations, [&](float sum, int i) {
      const float distance = shared_.o[i] - mean;
      return Fma(distance, distance, sum);
    });
    const float scale = Divide(1.0f, Sqrt(Divide(squares, cols) + op_.norm_eps));
    const float bonus = SumOverHead(block_, dim_, &shared_.bonus, [&](float sum, int i) {
      return Fma(shared_.r[i] * shared_.k[i], op_.r_k[first_ + i], sum);
    });
    if (!exists_) return;
    const float norm =
        Fma((shared_.o[mine_] - mean) * scale, op_.norm_weight[column_], op_.norm_bias[column_]);
    op_.y[row * op_.y_stride + column_] = Fma(bonus, v, norm) * op_.g[row * op_.x_stride + column_];
  }

  const Block& block_;
  const Wkv7Params& op_;
  const Segment& segment_;
  Wkv7Shared& shared_;
  const int64_t dim_;
  const int mine_;        // the thread's value, in the head
  const int64_t first_;   // of the head's columns
  const int64_t column_;  // the thread's
  const bool exists_;
};

struct Wkv7Kernel {
  static constexpr char kName[] = "wkv7";
  static constexpr int kThreads = kWkvThreads;
  static constexpr int kBlocks = 2;
  using Args = Wkv7Params;
  using Shared = Wkv7Shared;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.segments[block.y()];
    if (segment.dst_slot < 0) return;
    Wkv7Thread(block, args, segment, block.shared<Shared>()).Run();
  }
};

}  // namespace

void Wkv7(Stream& stream, const Wkv7Params& params) {
  if (params.segment_count == 0) return;
  Launch<Wkv7Kernel>(stream, {params.heads, params.segment_count}, WkvThreadsOf(params.head_dim),
                     params);
}

}  // namespace ssmd::kernels::cuda::plain
