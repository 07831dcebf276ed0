#include "kernels/cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>

namespace ssmd::kernels::cpu {
namespace {

TEST(ThreadPool, RunsEveryPartOnceAndPublishesWhatItWrote) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    ASSERT_EQ(pool.threads(), threads);
    for (int run = 0; run < 2000; ++run) {
      std::vector<int> calls(static_cast<size_t>(threads), 0);  // unsynchronised on purpose
      pool.Run([&](int part) { ++calls[static_cast<size_t>(part)]; });
      for (int count : calls) ASSERT_EQ(count, 1);
    }
  }
}

TEST(ThreadPool, PartsRunOnThreadsOfTheirOwn) {
  ThreadPool pool(4);
  std::vector<std::thread::id> ids(4);
  pool.Run([&](int part) { ids[static_cast<size_t>(part)] = std::this_thread::get_id(); });
  EXPECT_EQ(std::set<std::thread::id>(ids.begin(), ids.end()).size(), 4u);
  EXPECT_EQ(ids[0], std::this_thread::get_id());
}

// A worker that holds the others up past the spin makes everyone sleep, the caller included.
TEST(ThreadPool, WakesThoseThatFellAsleep) {
  ThreadPool pool(3);
  std::atomic<int> done{0};
  for (int run = 0; run < 20; ++run) {
    pool.Run([&](int part) {
      if (part == 2) {
        volatile uint64_t spins = 0;
        while (spins < 200000) spins = spins + 1;
      }
      ++done;
    });
  }
  EXPECT_EQ(done.load(), 60);
}

TEST(ThreadPool, ShutsDownWithoutARun) { ThreadPool pool(4); }

TEST(ShareOf, CoversEverythingOnceInOrder) {
  for (int64_t count : {0, 1, 2, 7, 64, 1000}) {
    for (int parts : {1, 2, 3, 16}) {
      int64_t next = 0;
      for (int part = 0; part < parts; ++part) {
        const Range range = ShareOf(count, part, parts);
        EXPECT_EQ(range.begin, next);
        EXPECT_LE(range.end - range.begin, count / parts + 1);
        next = range.end;
      }
      EXPECT_EQ(next, count);
    }
  }
}

}  // namespace
}  // namespace ssmd::kernels::cpu
