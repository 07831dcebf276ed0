#include "engine/base/mutex.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

namespace ssmd {
namespace {

TEST(Mutex, AdmitsOneThreadAtATime) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 10000;
  Mutex mutex;
  int count = 0;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const MutexLock lock(&mutex);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads * kRounds);
}

TEST(CondVar, PassesATurnBackAndForth) {
  constexpr int kTurns = 1000;
  Mutex mutex;
  CondVar changed;
  int turn = 0;
  const auto play = [&](int parity) {
    const MutexLock lock(&mutex);
    while (turn < kTurns) {
      if (turn % 2 == parity) {
        ++turn;
        changed.NotifyAll();
      } else {
        changed.Wait(&mutex);
      }
    }
  };
  std::thread other([&] { play(1); });
  play(0);
  other.join();
  EXPECT_GE(turn, kTurns);
}

TEST(CondVar, GivesUpAtTheDeadline) {
  Mutex mutex;
  CondVar never;
  const MutexLock lock(&mutex);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(5);
  while (never.WaitUntil(&mutex, deadline)) {  // spurious wake-ups
  }
  EXPECT_GE(std::chrono::steady_clock::now(), deadline);
}

}  // namespace
}  // namespace ssmd
