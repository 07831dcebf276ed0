// What kernels see: places, barriers, calls of a warp, copies, products.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "kernels/cuda/simt.h"
#include "tests/simt/gpu_fixture.h"

namespace ssmd::simt {
namespace {

using kernels::cuda::Block;
using kernels::cuda::Launch;

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

TEST_F(GpuTest, ABlockSumsByBarriers) {
  constexpr int64_t kRows = 7, kColumns = 1000;
  std::vector<float> rows(kRows * kColumns);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i % 13);
  const auto device_rows = Upload(rows);
  const auto sums = Allocate<float>(kRows);
  for (const int threads : {32, 256, 1024}) {
    Launch<RowSum>(stream(), {kRows}, threads, {device_rows.get(), sums.get(), kColumns});
    const std::vector<float> got = Download(sums.get(), kRows);
    for (int64_t row = 0; row < kRows; ++row) {
      float want = 0;
      for (int64_t i = 0; i < kColumns; ++i) want += rows[static_cast<size_t>(row * kColumns + i)];
      EXPECT_EQ(got[static_cast<size_t>(row)], want) << "row " << row << ", threads " << threads;
    }
  }
}

}  // namespace
}  // namespace ssmd::simt
