// What ends a test, and what it says then.
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "kernels/cuda/simt.h"
#include "tests/simt/gpu_fixture.h"

namespace ssmd::simt {
namespace {

using kernels::cuda::Block;
using kernels::cuda::Launch;

enum class Wrong {
  kSomeReturnBeforeABarrier,
  kSomeWaitInAnotherBarrier,
  kSomeStayInAWarpCall,
  kALaneReturns,
  kLanesMakeDifferentCalls,
  kLanesShuffleOnDifferentLines,
  kALaneThatIsNotThere,
  kAnotherShared,
  kAnUnalignedLoad,
  kAnUnalignedCopy,
  kACopyOutOfShared,
};

// 64 threads; lanes 0 to 7 of warp 1 do another thing than the rest.
struct Misuse {
  static constexpr char kName[] = "misuse";
  static constexpr int kThreads = 64;
  struct Args {
    Wrong wrong;
    const float* global;
  };
  struct Shared {
    alignas(16) float values[8];
  };
  struct Stranger {
    float values[9];
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const bool other = block.warp() == 1 && block.lane() < 8;
    auto& shared = block.shared<Shared>();
    switch (args.wrong) {
      case Wrong::kSomeReturnBeforeABarrier:
        if (!other) block.Sync();
        break;
      case Wrong::kSomeWaitInAnotherBarrier:
        if (other) {
          block.SyncAny(true);
        } else {
          block.Sync();
        }
        break;
      case Wrong::kSomeStayInAWarpCall:
        if (block.warp() == 1 && other) block.SyncWarp();
        block.Sync();
        break;
      case Wrong::kALaneReturns:
        if (!other) block.Ballot(true);
        break;
      case Wrong::kLanesMakeDifferentCalls:
        if (other) {
          block.Shuffle(1, 0);
        } else {
          block.Ballot(true);
        }
        break;
      case Wrong::kLanesShuffleOnDifferentLines:
        if (other) {
          block.Shuffle(1, 0);
        } else {
          block.Shuffle(1, 0);
        }
        break;
      case Wrong::kALaneThatIsNotThere:
        if (other) block.Shuffle(1, 32);
        break;
      case Wrong::kAnotherShared:
        if (other) block.shared<Stranger>().values[0] = 0;
        break;
      case Wrong::kAnUnalignedLoad:
        if (other)
          kernels::cuda::LoadStreaming(
              reinterpret_cast<const kernels::cuda::Words4*>(args.global + 1));
        break;
      case Wrong::kAnUnalignedCopy:
        if (other) kernels::cuda::AsyncCopy16(shared.values, args.global + 1);
        break;
      case Wrong::kACopyOutOfShared:
        if (other) kernels::cuda::AsyncCopy16(shared.values + 8, args.global);
        break;
    }
  }
};

struct Message {
  Wrong wrong;
  const char* name;
  const char* text;  // a regular expression
};

void PrintTo(const Message& message, std::ostream* out) { *out << message.name; }

class SimtMisuseDeathTest : public GpuTest, public ::testing::WithParamInterface<Message> {};

TEST_P(SimtMisuseDeathTest, IsToldWithTheLanes) {
  const auto global = Allocate<float>(64);
  EXPECT_DEATH(
      {
        Launch<Misuse>(stream(), {1, 3}, 64, {GetParam().wrong, global.get()});
        stream().Synchronize();
      },
      GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(
    Kernel, SimtMisuseDeathTest,
    ::testing::Values(Message{Wrong::kSomeReturnBeforeABarrier, "SomeReturnBeforeABarrier",
                              "simt: kernel misuse, block \\(0, [012], 0\\) of 64 threads, "
                              "seed [0-9]+: not all threads come to the same call\n"
                              "  warp 0, lanes 0-31: in Sync at misuse_test.cc:[0-9]+\n"
                              "  warp 1, lanes 8-31: in Sync at misuse_test.cc:[0-9]+\n"
                              "  warp 1, lanes 0-7: returned"},
                      Message{Wrong::kSomeWaitInAnotherBarrier, "SomeWaitInAnotherBarrier",
                              "threads of a block wait in different barriers\n"
                              "  warp 0, lanes 0-31: in Sync at misuse_test.cc:[0-9]+\n"
                              "  warp 1, lanes 8-31: in Sync at misuse_test.cc:[0-9]+\n"
                              "  warp 1, lanes 0-7: in SyncAny at misuse_test.cc:[0-9]+"},
                      Message{Wrong::kSomeStayInAWarpCall, "SomeStayInAWarpCall",
                              "  warp 1, lanes 0-7: in SyncWarp at misuse_test.cc:[0-9]+"},
                      Message{Wrong::kALaneReturns, "ALaneReturns",
                              "  warp 1, lanes 8-31: in Ballot at misuse_test.cc:[0-9]+\n"
                              "  warp 0, lanes 0-31: returned\n"
                              "  warp 1, lanes 0-7: returned"},
                      Message{Wrong::kLanesMakeDifferentCalls, "LanesMakeDifferentCalls",
                              "lanes of a warp make different calls\n"
                              "  warp 1, lanes 8-31: in Ballot at misuse_test.cc:[0-9]+\n"
                              "  warp 1, lanes 0-7: in Shuffle at misuse_test.cc:[0-9]+"},
                      Message{Wrong::kLanesShuffleOnDifferentLines, "LanesShuffleOnDifferentLines",
                              "lanes of a warp make different calls\n"},
                      Message{Wrong::kALaneThatIsNotThere, "ALaneThatIsNotThere",
                              "warp 1, lane [0-7] asks for the value of a lane outside of 0 to 31"},
                      Message{Wrong::kAnotherShared, "AnotherShared",
                              "asks for shared memory that is not its kernel's Shared"},
                      Message{Wrong::kAnUnalignedLoad, "AnUnalignedLoad",
                              "loads from an address that is not aligned"},
                      Message{Wrong::kAnUnalignedCopy, "AnUnalignedCopy",
                              "an address that is not a multiple of 16"},
                      Message{Wrong::kACopyOutOfShared, "ACopyOutOfShared",
                              "to where its block's shared memory is not"}));

// Blocks from `first` on wait for what was there before.
struct Hasty {
  static constexpr char kName[] = "hasty";
  static constexpr int kThreads = 32;
  static constexpr bool kOverlaps = true;
  struct Args {
    int64_t first;
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    block.LetNextKernelStart();
    if (block.x() >= args.first) block.WaitForEarlierKernels();
  }
};

using SimtOverlapDeathTest = GpuTest;

TEST_F(SimtOverlapDeathTest, EveryThreadWaits) {
  Launch<Hasty>(stream(), {2}, 32, {0});
  stream().Synchronize();
  EXPECT_DEATH(
      {
        Launch<Hasty>(stream(), {2}, 32, {1});
        stream().Synchronize();
      },
      "kernel hasty, block \\(0, 0, 0\\) .*overlaps earlier kernels and returns without waiting");
}

using SimtHostMisuseDeathTest = GpuTest;

TEST_F(SimtHostMisuseDeathTest, FreeingWhatIsStillToBeUsed) {
  auto global = Allocate<float>(64);
  Launch<Misuse>(stream(), {}, 64, {Wrong::kALaneThatIsNotThere, global.get() + 3});
  EXPECT_DEATH(global.reset(), "memory of a GPU is freed that is still to be used by misuse");
  auto pinned = AllocatePinned<float>(1);
  stream().CopyIn(global.get(), pinned.get(), sizeof(float));
  EXPECT_DEATH(pinned.reset(), "pinned memory is freed that is still to be used by copy");
  FailLaunch(1, "over");
  stream().Synchronize();
}

TEST_F(SimtHostMisuseDeathTest, FreeingWhatWasNotAllocated) {
  const auto global = Allocate<float>(64);
  EXPECT_DEATH(gpu().Free(global.get() + 1), "memory of a GPU is freed that was not allocated");
}

TEST_F(SimtHostMisuseDeathTest, CopyingPastTheEndOfMemory) {
  const auto global = Allocate<float>(64);
  EXPECT_DEATH(
      {
        stream().Zero(global.get() + 1, 64 * sizeof(float));
        stream().Synchronize();
      },
      "a zero of 256 bytes of a GPU's memory, which are not allocated");
}

TEST_F(SimtHostMisuseDeathTest, LeavingMemoryBehind) {
  EXPECT_DEATH(
      {
        (void)gpu().Allocate(1);
        Open();
      },
      "a GPU is destroyed before 1 blocks of its memory and 0 of pinned memory are given back");
}

}  // namespace
}  // namespace ssmd::simt
