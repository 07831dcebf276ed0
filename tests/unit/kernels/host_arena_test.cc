#include "kernels/host_arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

namespace ssmd::kernels {
namespace {

bool IsAll(const Buffer& buffer, std::byte value) {
  return std::all_of(buffer.data(), buffer.data() + buffer.bytes(),
                     [value](std::byte b) { return b == value; });
}

// Over several blocks, with sizes that leave gaps.
TEST(HostArena, BuffersAreAlignedZeroedAndApart) {
  HostArena arena;
  std::vector<Buffer> buffers;
  for (size_t i = 0; i < 60; ++i) {
    buffers.push_back(arena.Allocate((size_t{1} << 20) + i * 12345 + 1));
    const Buffer& buffer = buffers.back();
    ASSERT_TRUE(buffer);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
    EXPECT_TRUE(IsAll(buffer, std::byte{0}));
    std::memset(buffer.data(), static_cast<int>(i + 1), buffer.bytes());
  }
  for (size_t i = 0; i < buffers.size(); ++i) {
    EXPECT_TRUE(IsAll(buffers[i], static_cast<std::byte>(i + 1))) << i;
  }
}

// What is freed is not given out again while it may hold old bytes.
TEST(HostArena, MemoryIsZeroAfterOthersWereFreed) {
  HostArena arena;
  for (int i = 0; i < 200; ++i) {
    const Buffer buffer = arena.Allocate(size_t{1} << 20);
    ASSERT_TRUE(buffer);
    ASSERT_TRUE(IsAll(buffer, std::byte{0}));
    std::memset(buffer.data(), 0xFF, buffer.bytes());
  }
}

TEST(HostArena, BuffersOutliveTheArena) {
  Buffer buffer;
  {
    HostArena arena;
    buffer = arena.Allocate(100);
    ASSERT_TRUE(buffer);
  }
  std::memset(buffer.data(), 1, buffer.bytes());
  EXPECT_TRUE(IsAll(buffer, std::byte{1}));
}

TEST(HostArena, TooMuchIsEmptyAndTheNextOneIsNot) {
  HostArena arena;
  EXPECT_FALSE(arena.Allocate(std::numeric_limits<size_t>::max()));
  EXPECT_TRUE(arena.Allocate(1));
}

}  // namespace
}  // namespace ssmd::kernels
