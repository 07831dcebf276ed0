// The order of threads, warps and blocks is made from the seed.
#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <vector>

#include "kernels/cuda/simt.h"
#include "tests/simt/gpu_fixture.h"

namespace ssmd::simt {
namespace {

using kernels::cuda::Block;
using kernels::cuda::Launch;

// The order in which threads came, before a barrier and after it, and something that does not
// depend on it.
struct Arrivals {
  static constexpr char kName[] = "arrivals";
  static constexpr int kThreads = 64;
  struct Args {
    uint32_t* next;
    uint32_t* order;  // (2 · blocks · threads)
    uint32_t* result;
  };
  struct Shared {
    uint32_t sum;
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    auto& shared = block.shared<Shared>();
    if (block.thread() == 0) shared.sum = 0;
    const auto thread = static_cast<uint32_t>(block.x() * block.threads() + block.thread());
    args.order[kernels::cuda::AtomicAdd(args.next, 1u)] = thread;
    block.Sync();
    args.order[kernels::cuda::AtomicAdd(args.next, 1u)] = thread;
    kernels::cuda::AtomicAdd(&shared.sum, thread);
    block.Sync();
    if (block.thread() == 0) args.result[block.x()] = shared.sum;
  }
};

class SimtOrder : public GpuTest {
 protected:
  static constexpr uint32_t kBlocks = 3, kArrivals = 2 * kBlocks * Arrivals::kThreads;

  struct Outcome {
    std::vector<uint32_t> order, result;
  };

  Outcome RunWith(uint64_t seed) {
    SetSeed(seed);
    Open();
    const auto next = Upload(std::vector<uint32_t>{0});
    const auto order = Allocate<uint32_t>(kArrivals);
    const auto result = Allocate<uint32_t>(kBlocks);
    Launch<Arrivals>(stream(), {kBlocks}, Arrivals::kThreads,
                     {next.get(), order.get(), result.get()});
    return {Download(order.get(), kArrivals), Download(result.get(), kBlocks)};
  }
};

TEST_F(SimtOrder, DiffersBetweenSeedsWhileResultsDoNot) {
  std::set<std::vector<uint32_t>> orders, results;
  std::set<uint32_t> first_blocks;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const Outcome outcome = RunWith(seed);
    orders.insert(outcome.order);
    results.insert(outcome.result);
    first_blocks.insert(outcome.order[0] / Arrivals::kThreads);
  }
  EXPECT_EQ(orders.size(), 10u);
  EXPECT_EQ(results.size(), 1u);
  EXPECT_GT(first_blocks.size(), 1u);
}

TEST_F(SimtOrder, IsTheSameForTheSameSeed) { EXPECT_EQ(RunWith(7).order, RunWith(7).order); }

TEST_F(SimtOrder, ThreadsLeaveABarrierInAnotherOrderThanTheyCame) {
  const std::vector<uint32_t> order = RunWith(1).order;
  const auto middle = order.begin() + Arrivals::kThreads;
  EXPECT_NE(std::vector<uint32_t>(order.begin(), middle),
            std::vector<uint32_t>(middle, middle + Arrivals::kThreads));
}

}  // namespace
}  // namespace ssmd::simt
