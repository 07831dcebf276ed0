#include "kernels/cuda/simt.h"
#include "tests/simt/proof_kernels.h"

namespace ssmd::simt {
namespace {

using kernels::cuda::AsyncCommit;
using kernels::cuda::AsyncCopy16;
using kernels::cuda::AsyncWait;
using kernels::cuda::Block;
using kernels::cuda::Launch;
using kernels::cuda::Stream;

struct SwapPairsKernel {
  static constexpr char kName[] = "swap_pairs";
  static constexpr int kThreads = kProofThreads;
  struct Args {
    float* to;
    const float* from;
    Between between;
  };
  struct Shared {
    float values[kThreads];
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    auto& shared = block.shared<Shared>();
    shared.values[block.thread()] = args.from[block.thread()];
    if (args.between == Between::kShuffle) block.Shuffle(0, 0);
    if (args.between == Between::kBallot) block.Ballot(true);
    if (args.between == Between::kSyncWarp) block.SyncWarp();
    if (args.between == Between::kSync) block.Sync();
    args.to[block.thread()] = shared.values[block.thread() ^ 1];
  }
};

// The barrier is there so that threads of a block know of each other and not of other blocks.
struct LeaveNumbersKernel {
  static constexpr char kName[] = "leave_numbers";
  static constexpr int kThreads = kProofThreads;
  struct Args {
    float* to;
    bool apart;
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    block.Sync();
    if (block.thread() == 0) args.to[args.apart ? block.x() : 0] = static_cast<float>(block.x());
  }
};

struct ReuseStageKernel {
  static constexpr char kName[] = "reuse_stage";
  static constexpr int kThreads = kProofThreads;
  static constexpr int kFloats = 4;  // that a copy has
  struct Args {
    float* to;
    const float* from;
    bool barrier;
  };
  struct Shared {
    alignas(16) float stage[kThreads][kFloats];
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    auto& shared = block.shared<Shared>();
    for (int i = 0; i < 2; ++i) {
      const int first = (i * kThreads + block.thread()) * kFloats;
      AsyncCopy16(shared.stage[block.thread()], args.from + first);
      AsyncCommit();
      AsyncWait<0>();
      block.Sync();
      args.to[block.thread()] = shared.stage[kThreads - 1 - block.thread()][i];
      if (args.barrier) block.Sync();
    }
  }
};

struct FillKernel {
  static constexpr char kName[] = "fill";
  static constexpr int kThreads = 32;
  struct Args {
    float* to;
    int n;
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    for (int i = block.thread(); i < args.n; i += block.threads()) args.to[i] = 1;
  }
};

struct FillOverlappingKernel {
  static constexpr char kName[] = "fill_overlapping";
  static constexpr int kThreads = 32;
  static constexpr bool kOverlaps = true;
  struct Args {
    float* to;
    int n;
    bool waits_first;
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    if (args.waits_first) block.WaitForEarlierKernels();
    for (int i = block.thread(); i < args.n; i += block.threads()) args.to[i] = 1;
    if (!args.waits_first) block.WaitForEarlierKernels();
  }
};

struct FillSharedKernel {
  static constexpr char kName[] = "fill_shared";
  static constexpr int kThreads = 32;
  struct Args {
    int n;
  };
  struct Shared {
    float values[kProofThreads];
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    float* values = block.shared<Shared>().values;
    for (int i = block.thread(); i < args.n; i += block.threads()) values[i] = 1;
  }
};

}  // namespace

void SwapPairs(Stream& stream, float* to, const float* from, Between between) {
  Launch<SwapPairsKernel>(stream, {}, kProofThreads, {to, from, between});
}

void LeaveNumbers(Stream& stream, float* to, int blocks, bool apart) {
  Launch<LeaveNumbersKernel>(stream, {blocks}, kProofThreads, {to, apart});
}

void ReuseStage(Stream& stream, float* to, const float* from, bool barrier) {
  Launch<ReuseStageKernel>(stream, {}, kProofThreads, {to, from, barrier});
}

void Fill(Stream& stream, float* to, int n) { Launch<FillKernel>(stream, {}, 32, {to, n}); }

void FillOverlapping(Stream& stream, float* to, int n, bool waits_first) {
  Launch<FillOverlappingKernel>(stream, {}, 32, {to, n, waits_first});
}

void FillShared(Stream& stream, int n) { Launch<FillSharedKernel>(stream, {}, 32, {n}); }

}  // namespace ssmd::simt
