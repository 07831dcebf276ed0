// What threads of a block do together: barriers, calls of a warp, atomics, shared memory.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/cuda/simt.h"
#include "tests/simt/gpu_fixture.h"

namespace ssmd::simt {
namespace {

using kernels::cuda::Block;
using kernels::cuda::Grid;
using kernels::cuda::kWarpThreads;
using kernels::cuda::Launch;

using SimtKernels = GpuTest;

// Each block sums its row, by shared memory alone.
struct RowSum {
  static constexpr char kName[] = "row_sum";
  static constexpr int kThreads = 1024;
  struct Args {
    const float* rows;
    float* sums;
    int64_t columns;
  };
  struct Shared {
    float partial[kThreads];
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    auto& shared = block.shared<Shared>();
    float sum = 0;
    for (int64_t i = block.thread(); i < args.columns; i += block.threads()) {
      sum += args.rows[block.x() * args.columns + i];
    }
    shared.partial[block.thread()] = sum;
    for (int half = block.threads() / 2; half > 0; half /= 2) {
      block.Sync();
      if (block.thread() < half) {
        shared.partial[block.thread()] += shared.partial[block.thread() + half];
      }
    }
    if (block.thread() == 0) args.sums[block.x()] = shared.partial[0];
  }
};

// The same by shuffles, with shared memory between the warps.
struct RowSumByShuffles {
  static constexpr char kName[] = "row_sum_by_shuffles";
  static constexpr int kThreads = 1024;
  using Args = RowSum::Args;
  struct Shared {
    float of_warp[kThreads / kWarpThreads];
  };
  SIMT_DEVICE static float WarpSum(const Block& block, float sum) {
    for (int mask = kWarpThreads / 2; mask > 0; mask /= 2) sum += block.ShuffleXor(sum, mask);
    return sum;
  }
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    auto& shared = block.shared<Shared>();
    float sum = 0;
    for (int64_t i = block.thread(); i < args.columns; i += block.threads()) {
      sum += args.rows[block.x() * args.columns + i];
    }
    sum = WarpSum(block, sum);
    if (block.lane() == 0) shared.of_warp[block.warp()] = sum;
    block.Sync();
    if (block.warp() > 0) return;
    const int warps = block.threads() / kWarpThreads;
    sum = WarpSum(block, block.lane() < warps ? shared.of_warp[block.lane()] : 0.0f);
    if (block.lane() == 0) args.sums[block.x()] = sum;
  }
};

template <typename Kernel>
class SimtReductions : public GpuTest {};

using Reductions = ::testing::Types<RowSum, RowSumByShuffles>;
TYPED_TEST_SUITE(SimtReductions, Reductions);

TYPED_TEST(SimtReductions, SumsRowsWithAnyNumberOfThreads) {
  constexpr int64_t kRows = 7, kColumns = 1000;
  std::vector<float> rows(kRows * kColumns), want(kRows);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i] = static_cast<float>(i * i % 13);
    want[i / kColumns] += rows[i];
  }
  const auto device_rows = this->Upload(rows);
  for (const int threads : {32, 256, 1024}) {
    const auto sums = this->template Allocate<float>(kRows);
    Launch<TypeParam>(this->stream(), {kRows}, threads, {device_rows.get(), sums.get(), kColumns});
    EXPECT_EQ(this->Download(sums.get(), kRows), want) << threads << " threads";
  }
}

// Where every thread is, written once by each.
struct WhereAmI {
  static constexpr char kName[] = "where_am_i";
  static constexpr int kThreads = 96;
  struct Args {
    int64_t* places;
    uint32_t* visits;
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const int64_t index = (block.z() * block.grid_y() + block.y()) * block.grid_x() + block.x();
    const int64_t thread = index * block.threads() + block.warp() * kWarpThreads + block.lane();
    args.places[thread] = thread * block.grid_z();
    kernels::cuda::AtomicAdd(args.visits, 1u);
  }
};

TEST_F(SimtKernels, EveryThreadOfEveryBlockRunsOnce) {
  const Grid grid = {5, 4, 3};
  const size_t threads = 5 * 4 * 3 * 96;
  const auto places = Allocate<int64_t>(threads);
  const auto visits = Upload(std::vector<uint32_t>{0});
  Launch<WhereAmI>(stream(), grid, 96, {places.get(), visits.get()});
  const std::vector<int64_t> got = Download(places.get(), threads);
  for (size_t i = 0; i < threads; ++i) EXPECT_EQ(got[i], static_cast<int64_t>(3 * i));
  EXPECT_EQ(Download(visits.get(), 1)[0], threads);
}

// Each kind of call of a warp or a block, to 16 words a thread.
struct Calls {
  static constexpr char kName[] = "calls";
  static constexpr int kThreads = 64;
  static constexpr int kWords = 8;
  struct Args {
    uint64_t* words;  // (threads, kWords)
  };
  struct Shared {
    uint32_t unwritten;
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    uint64_t* words = args.words + block.thread() * kWords;
    const auto thread = static_cast<uint64_t>(block.thread());
    words[0] = block.Shuffle(thread << 40, (block.lane() + 5) % kWarpThreads);
    words[1] = block.ShuffleXor(static_cast<uint32_t>(thread), 3);
    words[2] = block.Ballot(block.lane() % 3 == 0);
    words[3] = block.SyncAny(block.thread() == 63);
    words[4] = block.SyncAny(false);
    words[5] = block.shared<Shared>().unwritten;
  }
};

TEST_F(SimtKernels, CallsOfAWarpAndABlockSayWhatTheirNamesSay) {
  const auto words = Allocate<uint64_t>(Calls::kThreads * Calls::kWords);
  Launch<Calls>(stream(), {}, Calls::kThreads, {words.get()});
  const std::vector<uint64_t> got = Download(words.get(), Calls::kThreads * Calls::kWords);
  for (size_t thread = 0; thread < Calls::kThreads; ++thread) {
    const uint64_t* word = &got[thread * Calls::kWords];
    EXPECT_EQ(word[0], (thread / 32 * 32 + (thread + 5) % 32) << 40);
    EXPECT_EQ(word[1], thread ^ 3);
    EXPECT_EQ(word[2], 0x49249249u);
    EXPECT_EQ(word[3], 1u);
    EXPECT_EQ(word[4], 0u);
    EXPECT_EQ(word[5], 0xFFFFFFFFu) << "shared memory holds garbage at the start";
  }
}

// A queue in each warp's own piece of shared memory: what SyncWarp is for.
struct Rotate {
  static constexpr char kName[] = "rotate";
  static constexpr int kThreads = 128;
  struct Args {
    int* values;
  };
  struct Shared {
    int values[kThreads];
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    int* values = block.shared<Shared>().values + block.warp() * kWarpThreads;
    values[block.lane()] = block.thread();
    for (int i = 0; i < 3; ++i) {
      block.SyncWarp();
      const int next = values[(block.lane() + 1) % kWarpThreads];
      block.SyncWarp();
      values[block.lane()] = next;
    }
    args.values[block.thread()] = values[block.lane()];
  }
};

TEST_F(SimtKernels, WarpsKeepStepByThemselves) {
  const auto values = Allocate<int>(Rotate::kThreads);
  Launch<Rotate>(stream(), {}, Rotate::kThreads, {values.get()});
  const std::vector<int> got = Download(values.get(), Rotate::kThreads);
  for (int thread = 0; thread < Rotate::kThreads; ++thread) {
    EXPECT_EQ(got[static_cast<size_t>(thread)], thread / 32 * 32 + (thread + 3) % 32);
  }
}

struct Atomics {
  static constexpr char kName[] = "atomics";
  static constexpr int kThreads = 256;
  struct Args {
    int32_t* sum;
    uint64_t* wide;  // a sum and a maximum
    uint32_t* word;  // a maximum and bits
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const auto thread = static_cast<uint32_t>(block.x() * block.threads() + block.thread());
    kernels::cuda::AtomicAdd(args.sum, -static_cast<int32_t>(thread));
    kernels::cuda::AtomicAdd(&args.wide[0], uint64_t{thread} << 32);
    kernels::cuda::AtomicMax(&args.wide[1], uint64_t{thread} << 33);
    kernels::cuda::AtomicMax(&args.word[0], thread * 7);
    kernels::cuda::AtomicOr(&args.word[1], 1u << thread % 32);
  }
};

TEST_F(SimtKernels, AtomicsLoseNothing) {
  const auto sum = Upload(std::vector<int32_t>(1));
  const auto wide = Upload(std::vector<uint64_t>(2));
  const auto word = Upload(std::vector<uint32_t>(2));
  Launch<Atomics>(stream(), {4}, 256, {sum.get(), wide.get(), word.get()});
  EXPECT_EQ(Download(sum.get(), 1)[0], -1023 * 512);
  EXPECT_EQ(Download(wide.get(), 2), (std::vector<uint64_t>{1023ull * 512 << 32, 1023ull << 33}));
  EXPECT_EQ(Download(word.get(), 2), (std::vector<uint32_t>{1023 * 7, 0xFFFFFFFF}));
}

TEST_F(SimtKernels, AllocatedMemoryHoldsNaNs) {
  const auto memory = Allocate<float>(3);
  for (const float value : Download(memory.get(), 3)) EXPECT_TRUE(std::isnan(value));
}

}  // namespace
}  // namespace ssmd::simt
