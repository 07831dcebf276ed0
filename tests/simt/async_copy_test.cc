// Copies of 16 bytes to shared memory: when they arrive, and when they do not.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <ostream>
#include <vector>

#include "kernels/cuda/simt.h"
#include "tests/simt/gpu_fixture.h"

namespace ssmd::simt {
namespace {

using kernels::cuda::AsyncCommit;
using kernels::cuda::AsyncCopy16;
using kernels::cuda::AsyncWait;
using kernels::cuda::Block;
using kernels::cuda::Launch;

using SimtAsyncCopies = GpuTest;

constexpr int kFloats = 4;  // that a copy has

// What a thread does between issuing two groups of a copy each and reading both.
enum class Ending { kNothing, kCommitOnly, kWaitOnly, kWaitForFirst, kWaitForAll };

struct TwoCopies {
  static constexpr char kName[] = "two_copies";
  static constexpr int kThreads = 32;
  struct Args {
    const float* from;  // (2, threads, 4)
    float* to;          // likewise
    Ending ending;
  };
  struct Shared {
    alignas(16) float values[2][kThreads][kFloats];
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    auto& shared = block.shared<Shared>();
    const bool commits = args.ending != Ending::kNothing && args.ending != Ending::kWaitOnly;
    for (int i = 0; i < 2; ++i) {
      const int at = (i * kThreads + block.thread()) * kFloats;
      AsyncCopy16(shared.values[i][block.thread()], args.from + at);
      if (commits) AsyncCommit();
    }
    if (args.ending == Ending::kWaitForFirst) AsyncWait<1>();
    if (args.ending == Ending::kWaitForAll || args.ending == Ending::kWaitOnly) AsyncWait<0>();
    for (int i = 0; i < 2; ++i) {
      for (int k = 0; k < kFloats; ++k) {
        args.to[(i * kThreads + block.thread()) * kFloats + k] =
            shared.values[i][block.thread()][k];
      }
    }
  }
};

struct Arrival {
  Ending ending;
  const char* name;
  bool first, second;  // arrived
};

void PrintTo(const Arrival& arrival, std::ostream* out) { *out << arrival.name; }

class SimtArrivals : public GpuTest, public ::testing::WithParamInterface<Arrival> {};

TEST_P(SimtArrivals, IsAtTheWaitForACommittedGroup) {
  constexpr size_t kHalf = TwoCopies::kThreads * kFloats;
  std::vector<float> values(2 * kHalf);
  std::iota(values.begin(), values.end(), 1.0f);
  const auto from = Upload(values);
  const auto to = Allocate<float>(values.size());
  Launch<TwoCopies>(stream(), {}, 32, {from.get(), to.get(), GetParam().ending});
  const std::vector<float> got = Download(to.get(), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const bool arrived = i < kHalf ? GetParam().first : GetParam().second;
    if (arrived) {
      EXPECT_EQ(got[i], values[i]);
    } else {
      EXPECT_TRUE(std::isnan(got[i])) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, SimtArrivals,
                         ::testing::Values(Arrival{Ending::kNothing, "Nothing", false, false},
                                           Arrival{Ending::kCommitOnly, "CommitOnly", false, false},
                                           Arrival{Ending::kWaitOnly, "WaitOnly", false, false},
                                           Arrival{Ending::kWaitForFirst, "WaitForFirst", true,
                                                   false},
                                           Arrival{Ending::kWaitForAll, "WaitForAll", true, true}));

// A ring of stages: what was there before is gone once the next copy is issued.
struct Overwrite {
  static constexpr char kName[] = "overwrite";
  static constexpr int kThreads = 32;
  struct Args {
    const float* from;
    float* to;
  };
  struct Shared {
    alignas(16) float values[kThreads][kFloats];
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    float* mine = block.shared<Shared>().values[block.thread()];
    mine[0] = 1;
    AsyncCopy16(mine, args.from);
    args.to[block.thread()] = mine[0];
  }
};

TEST_F(SimtAsyncCopies, WhatIsOverwrittenIsGoneAtOnce) {
  const auto from = Upload(std::vector<float>(kFloats));
  const auto to = Allocate<float>(32);
  Launch<Overwrite>(stream(), {}, 32, {from.get(), to.get()});
  for (const float value : Download(to.get(), 32)) EXPECT_TRUE(std::isnan(value));
}

}  // namespace
}  // namespace ssmd::simt
