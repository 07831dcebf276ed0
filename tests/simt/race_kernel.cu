#include "kernels/cuda/simt.h"
#include "tests/simt/race_kernel.h"

namespace ssmd::simt {
namespace {

using kernels::cuda::Block;

struct ReverseKernel {
  static constexpr char kName[] = "reverse";
  static constexpr int kThreads = 1024;
  struct Args {
    float* to;
    const float* from;
    bool barrier;
  };
  struct Shared {
    float values[kThreads];
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    auto& shared = block.shared<Shared>();
    shared.values[block.thread()] = args.from[block.thread()];
    if (args.barrier) block.Sync();
    args.to[block.thread()] = shared.values[block.threads() - 1 - block.thread()];
  }
};

}  // namespace

void Reverse(kernels::cuda::Stream& stream, float* to, const float* from, int n, bool barrier) {
  kernels::cuda::Launch<ReverseKernel>(stream, {}, n, {to, from, barrier});
}

}  // namespace ssmd::simt
