// What tests can make fail, and what follows.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/simt.h"
#include "tests/simt/gpu_fixture.h"

namespace ssmd::simt {
namespace {

using kernels::cuda::Block;
using kernels::cuda::Gpu;
using kernels::cuda::GpuFacts;
using kernels::cuda::Grid;
using kernels::cuda::Launch;

using SimtControl = GpuTest;

template <size_t kSharedBytes, size_t kArgsBytes>
struct Increment {
  static constexpr char kName[] = "increment";
  static constexpr int kThreads = 64;
  struct Args {
    int* value;
    char padding[kArgsBytes - sizeof(int*)];
  };
  struct Shared {
    char bytes[kSharedBytes];
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    if (block.thread() == 0) ++*args.value;
  }
};
using SmallIncrement = Increment<1, 16>;

TEST_F(SimtControl, GpusAreWhatATestSays) {
  std::string error;
  EXPECT_EQ(kernels::cuda::CountGpus(&error), 1);
  EXPECT_EQ(gpu().facts().name, "emulated");
  EXPECT_EQ(gpu().facts().major, 9);

  GpuFacts old = DefaultFacts();
  old.major = 6;
  SetGpus({DefaultFacts(), old});
  EXPECT_EQ(kernels::cuda::CountGpus(&error), 2);
  EXPECT_EQ(kernels::cuda::OpenGpu(1, &error)->facts().major, 6);
  EXPECT_EQ(kernels::cuda::OpenGpu(2, &error), nullptr);
  EXPECT_EQ(error, "there is no GPU 2");

  SetNoDriver("no driver here");
  EXPECT_EQ(kernels::cuda::CountGpus(&error), 0);
  EXPECT_EQ(error, "no driver here");
  EXPECT_EQ(kernels::cuda::OpenGpu(0, &error), nullptr);
  EXPECT_EQ(error, "no driver here");
}

TEST_F(SimtControl, TheEnvironmentSaysHowItIsAtTheStart) {
  const std::vector<std::pair<const char*, const char*>> variables = {
      {"SSMD_SIMT_MEMORY_BYTES", "1024"},
      {"SSMD_SIMT_FAIL_ALLOCATION", "2"},
      {"SSMD_SIMT_FAIL_PINNED_ALLOCATION", "1"},
      {"SSMD_SIMT_FAIL_COPY", "1:unplugged: quite"}};
  for (const auto& [name, value] : variables) setenv(name, value, 1);
  ResetControl();
  Open();
  for (const auto& [name, value] : variables) unsetenv(name);
  EXPECT_EQ(gpu().free_bytes(), 1024u);
  {
    const auto memory = Allocate<int>(1);
    EXPECT_EQ(Allocate<int>(1), nullptr);
    EXPECT_EQ(AllocatePinned<int>(1), nullptr);
    stream().Zero(memory.get(), sizeof(int));
    stream().Synchronize();
  }
  EXPECT_EQ(gpu().failure(), "unplugged: quite: zero");

  setenv("SSMD_SIMT_NO_DRIVER", "none here", 1);
  ResetControl();
  unsetenv("SSMD_SIMT_NO_DRIVER");
  std::string error;
  EXPECT_EQ(kernels::cuda::CountGpus(&error), 0);
  EXPECT_EQ(error, "none here");
}

TEST_F(SimtControl, MemoryEndsAtTheBudget) {
  GpuFacts facts = DefaultFacts();
  facts.memory_bytes = 1000;
  SetGpus({facts});
  Open();
  const auto most = Allocate<char>(900);
  EXPECT_EQ(gpu().free_bytes(), 100u);
  EXPECT_EQ(gpu().Allocate(101), nullptr);
  const auto rest = Allocate<char>(100);
  EXPECT_NE(rest, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(rest.get()) % 256, 0u);
  EXPECT_EQ(gpu().failure(), "");
}

TEST_F(SimtControl, TheNthAllocationFailsAndNothingElse) {
  FailAllocation(2);
  FailPinnedAllocation(1);
  EXPECT_NE(Allocate<char>(1), nullptr);
  EXPECT_EQ(Allocate<char>(1), nullptr);
  EXPECT_NE(Allocate<char>(1), nullptr);
  EXPECT_EQ(AllocatePinned<char>(1), nullptr);
  EXPECT_NE(AllocatePinned<char>(1), nullptr);
  EXPECT_EQ(gpu().failure(), "");
  EXPECT_EQ(CountsSoFar().allocations, 3);
}

TEST_F(SimtControl, TheNthLaunchIsTheEndOfTheGpu) {
  const auto value = Upload(std::vector<int>{1});
  int before = 0, after = 0;
  FailLaunch(2, "the GPU has fallen off the bus");
  Launch<SmallIncrement>(stream(), {}, 32, {value.get(), {}});
  stream().CopyOut(&before, value.get(), sizeof(int));
  Launch<SmallIncrement>(stream(), {}, 32, {value.get(), {}});
  stream().CopyOut(&after, value.get(), sizeof(int));
  EXPECT_EQ(gpu().failure(), "") << "nothing has been done yet";
  stream().Synchronize();
  EXPECT_EQ(gpu().failure(), "the GPU has fallen off the bus: increment");
  EXPECT_EQ(before, 2);
  EXPECT_EQ(after, 0);

  EXPECT_EQ(gpu().Allocate(1), nullptr);
  EXPECT_EQ(gpu().AllocatePinned(1), nullptr);
  EXPECT_FALSE(stream().BeginRecording());
  EXPECT_TRUE(stream().Record()->Passed()) << "or whoever waits would wait forever";
  const auto launches = CountsSoFar().launches;
  Launch<SmallIncrement>(stream(), {}, 32, {value.get(), {}});
  stream().Synchronize();
  EXPECT_EQ(CountsSoFar().launches, launches);
  EXPECT_EQ(gpu().failure(), "the GPU has fallen off the bus: increment");
}

TEST_F(SimtControl, ACopyCanFailAsWell) {
  const auto value = Allocate<int>(1);
  FailCopy(2, "uncorrectable error");
  stream().Zero(value.get(), sizeof(int));
  EXPECT_EQ(Download(value.get(), 1)[0], 0) << "the host's memory is as it was";
  EXPECT_EQ(gpu().failure(), "uncorrectable error: copy");
}

TEST_F(SimtControl, RecordingsCanBeRefusedOrSpoiled) {
  RefuseRecording(true);
  EXPECT_FALSE(stream().BeginRecording());
  RefuseRecording(false);
  SpoilRecordings(true);
  EXPECT_TRUE(stream().BeginRecording());
  EXPECT_EQ(stream().EndRecording(), nullptr);
  EXPECT_EQ(gpu().failure(), "");
}

// What a device would not launch.
template <typename Kernel>
std::string FailureOf(Gpu& gpu, const Grid& grid, int threads) {
  const auto stream = gpu.MakeStream();
  Launch<Kernel>(*stream, grid, threads, {});
  return gpu.failure();
}

TEST_F(SimtControl, ALaunchOutsideOfTheLimitsIsTheEndOfTheGpu) {
  struct Refusal {
    Grid grid;
    int threads;
    const char* want;
  };
  const Refusal refusals[] = {
      {{}, 0, "0 threads to a block, which may have whole warps of at most 64"},
      {{}, 96, "96 threads to a block, which may have whole warps of at most 64"},
      {{}, 33, "33 threads to a block, which may have whole warps of at most 64"},
      {{-1}, 32, "a grid of (-1, 1, 1)"},
      {{1, 65536}, 32, "a grid of (1, 65536, 1)"},
      {{1, 1, 65536}, 32, "a grid of (1, 1, 65536)"},
      {{int64_t{1} << 31}, 32, "a grid of (2147483648, 1, 1)"},
  };
  for (const Refusal& c : refusals) {
    Open();
    EXPECT_EQ(FailureOf<SmallIncrement>(gpu(), c.grid, c.threads),
              std::string("launch of increment: ") + c.want);
  }
  Open();
  EXPECT_EQ(FailureOf<SmallIncrement>(gpu(), {0}, 32), "") << "nothing to do";
  Open();
  EXPECT_EQ((FailureOf<Increment<(227 << 10) + 1, 16>>(gpu(), {}, 32)),
            "launch of increment: 232449 bytes of shared memory");
  Open();
  EXPECT_EQ((FailureOf<Increment<1, 4104>>(gpu(), {}, 32)),
            "launch of increment: 4104 bytes of Args");
}

}  // namespace
}  // namespace ssmd::simt
