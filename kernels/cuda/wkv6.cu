// The recurrence of RWKV-5 and 6, plain.
#include "kernels/cuda/math.h"
#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/simt.h"
#include "kernels/cuda/states.h"
#include "kernels/cuda/wkv_head.h"

namespace ssmd::kernels::cuda::plain {
namespace {

struct Wkv6Shared {
  float r[kMaxWkvHead];
  float k[kMaxWkvHead];
  float loss[kMaxWkvHead];  // w − 1
  float bonus;              // Σ r·u·k
};

struct Wkv6Kernel {
  static constexpr char kName[] = "wkv6";
  static constexpr int kThreads = kWkvThreads;
  static constexpr int kBlocks = 4;
  using Args = Wkv6Params;
  using Shared = Wkv6Shared;

  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const Segment segment = args.segments[block.y()];
    if (segment.dst_slot < 0) return;
    auto& shared = block.shared<Shared>();
    const int64_t dim = args.head_dim;
    const int64_t first = block.x() * dim;  // of the head's columns
    const int64_t mine = first + block.thread();
    const bool exists = block.thread() < dim;
    const float* from = FloatsAt(args.state, segment.src_slot) + first * dim + block.thread();
    float* to = FloatsAt(args.state, segment.dst_slot) + first * dim + block.thread();
    for (int64_t t = 0; t < segment.length; ++t) {
      const int64_t row = segment.first_row + t;
      block.Sync();  // the token before has been read
      if (exists) {
        shared.r[block.thread()] = args.r[row * args.x_stride + mine];
        shared.k[block.thread()] = args.k[row * args.x_stride + mine];
        shared.loss[block.thread()] = LossOf(args, row, mine);
      }
      block.Sync();
      const float bonus = SumOverHead(block, dim, &shared.bonus, [&](float sum, int i) {
        return Fma(args.bonus[first + i] * shared.k[i], shared.r[i], sum);
      });
      if (!exists) continue;
      const float v = args.v[row * args.x_stride + mine];
      const float sum = Step(shared, dim, t == 0 ? from : to, to, v);
      args.y[row * args.y_stride + mine] = Fma(bonus, v, sum);
    }
  }

  SIMT_DEVICE static float LossOf(const Args& args, int64_t row, int64_t column) {
    const float decay = args.decay[column];
    if (args.decay_row == nullptr) return decay - 1.0f;
    return ExpMinus1(0.0f - Exp(decay + args.decay_row[row * args.decay_stride + column]));
  }

  // Advances a column and returns what r reads of it before.
  SIMT_DEVICE static float Step(const Shared& token, int64_t dim, const float* from, float* to,
                                float v) {
    float sum = 0;
    for (int64_t i = 0; i < dim; ++i) {
      const float state = from[i * dim];
      sum = Fma(token.r[i], state, sum);
      to[i * dim] = Fma(token.k[i], v, Fma(token.loss[i], state, state));
    }
    return sum;
  }
};

}  // namespace

void Wkv6(Stream& stream, const Wkv6Params& params) {
  if (params.segment_count == 0) return;
  Launch<Wkv6Kernel>(stream, {params.heads, params.segment_count}, WkvThreadsOf(params.head_dim),
                     params);
}

}  // namespace ssmd::kernels::cuda::plain
