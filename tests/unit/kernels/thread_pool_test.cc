#include "kernels/cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include "kernels/cpu/affinity.h"

namespace ssmd::kernels::cpu {
namespace {

TEST(ThreadPool, RunsEveryChunkOnceAndPublishesWhatItWrote) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    ASSERT_EQ(pool.threads(), threads);
    for (int run = 0; run < 2000; ++run) {
      std::vector<int> calls(static_cast<size_t>(run % 40), 0);  // unsynchronised on purpose
      pool.Run(static_cast<int>(calls.size()),
               [&](int chunk, int /*thread*/) { ++calls[static_cast<size_t>(chunk)]; });
      for (int count : calls) ASSERT_EQ(count, 1);
    }
  }
}

TEST(ThreadPool, ThreadNumbersAreOfOneThreadEach) {
  ThreadPool pool(4);
  std::vector<std::set<std::thread::id>> ids(4);  // each written by its own thread
  for (int run = 0; run < 200; ++run) {
    pool.Run(100, [&](int /*chunk*/, int thread) {
      ids[static_cast<size_t>(thread)].insert(std::this_thread::get_id());
    });
  }
  for (const auto& of_one : ids) EXPECT_LE(of_one.size(), 1u);
  EXPECT_EQ(ids[0].count(std::this_thread::get_id()), 1u);
}

// While a worker is held up in one chunk, the others take the rest.
TEST(ThreadPool, AThreadThatIsHeldUpHoldsUpItsChunkAlone) {
  ThreadPool pool(2);
  std::atomic<int> others{0};
  std::atomic<bool> holding{false};
  pool.Run(50, [&](int /*chunk*/, int /*thread*/) {
    if (!holding.exchange(true)) {
      while (others.load() < 49) std::this_thread::yield();
    } else {
      ++others;
    }
  });
  EXPECT_EQ(others.load(), 49);
}

// A chunk that takes longer than anyone spins makes everyone sleep, the caller included.
TEST(ThreadPool, WakesThoseThatFellAsleep) {
  ThreadPool pool(3);
  std::atomic<int> done{0};
  for (int run = 0; run < 20; ++run) {
    std::atomic<bool> worker_has_one{false};
    pool.Run(3, [&](int /*chunk*/, int thread) {
      if (thread == 0) {
        while (!worker_has_one.load()) std::this_thread::yield();
      } else {
        worker_has_one.store(true);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
      ++done;
    });
  }
  EXPECT_EQ(done.load(), 60);
}

// A thread starts where its own queue does: it reads on where it was, as long as it keeps up.
TEST(ThreadPool, EachThreadStartsWithItsOwnQueue) {
  ThreadPool pool(2);
  std::vector<int> taken_by(40, -1);
  std::atomic<bool> has_one[2] = {};
  pool.Run(40, [&](int chunk, int thread) {
    taken_by[static_cast<size_t>(chunk)] = thread;
    has_one[thread].store(true);
    while (!has_one[0].load() || !has_one[1].load()) std::this_thread::yield();
  });
  EXPECT_EQ(taken_by[0], 0);
  EXPECT_EQ(taken_by[20], 1);
}

// More threads than queues, and fewer chunks than either.
TEST(ThreadPool, ThreadsBeyondTheQueuesTakePart) {
  ThreadPool pool(12);
  for (int run = 0; run < 50; ++run) {
    std::atomic<int> at_work{0};
    pool.Run(12, [&](int /*chunk*/, int /*thread*/) {
      ++at_work;
      while (at_work.load() < 12) std::this_thread::yield();
    });
    ASSERT_EQ(at_work.load(), 12);
    std::atomic<int> few{0};
    pool.Run(3, [&](int /*chunk*/, int /*thread*/) { ++few; });
    ASSERT_EQ(few.load(), 3);
  }
}

TEST(ThreadPool, PinnedThreadsKeepToACpuEach) {
  const std::vector<int> cpus = AllowedCpus();
  std::vector<std::vector<int>> allowed(3);
  // The caller is a thread of its own, so that the test's stays free.
  std::thread([&] {
    ThreadPool pool(3, /*pinned=*/true);
    EXPECT_EQ(AllowedCpus(), cpus);  // until it is adopted
    pool.AdoptCaller();
    std::atomic<int> at_work{0};
    pool.Run(3, [&](int /*chunk*/, int thread) {
      allowed[static_cast<size_t>(thread)] = AllowedCpus();
      ++at_work;
      while (at_work.load() < 3) std::this_thread::yield();
    });
  }).join();
  for (size_t thread = 0; thread < 3; ++thread) {
    EXPECT_EQ(allowed[thread], std::vector<int>{cpus[thread % cpus.size()]});
  }
  EXPECT_EQ(AllowedCpus(), cpus);
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
