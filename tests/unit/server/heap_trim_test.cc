#include "server/heap_trim.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "server/telemetry/process_figures.h"

namespace ssmd::server {
namespace {

// As gRPC's headers are: many and small, with something behind them that stays.
std::vector<std::unique_ptr<char[]>> Fill(size_t bytes) {
  constexpr size_t kEach = 256;
  std::vector<std::unique_ptr<char[]>> blocks(bytes / kEach);
  for (auto& block : blocks) {
    block = std::make_unique<char[]>(kEach);
    std::memset(block.get(), 1, kEach);
  }
  return blocks;
}

TEST(HeapTrim, ReturnsWhatABurstLeft) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's heap is not the C library's";
#endif
  HeapTrim heap;
  EXPECT_FALSE(heap.Look());
  const int64_t before = ResidentBytes();
  auto burst = Fill(size_t{4} * HeapTrim::kBytes);
  const auto stays = std::make_unique<char[]>(256);
  EXPECT_FALSE(heap.Look()) << "it is in use";
  burst.clear();
  ASSERT_GT(ResidentBytes(), before + 2 * HeapTrim::kBytes) << "the C library keeps it";
  EXPECT_TRUE(heap.Look());
  EXPECT_LT(ResidentBytes(), before + HeapTrim::kBytes / 2);
  EXPECT_FALSE(heap.Look()) << "once is enough";
}

}  // namespace
}  // namespace ssmd::server
