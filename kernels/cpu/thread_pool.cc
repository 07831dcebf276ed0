#include "kernels/cpu/thread_pool.h"

#include <chrono>
#include <system_error>

#include "kernels/cpu/float_mode.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr std::chrono::microseconds kSpin{20};
// Polls between two looks at the clock.
constexpr int kPollsPerLook = 32;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Polls for a while; true as soon as `ready()` is.
template <typename Ready>
bool SpinUntil(const Ready& ready) {
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < kPollsPerLook; ++i) {
      if (ready()) return true;
      Pause();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  workers_.reserve(static_cast<size_t>(threads - 1));
  for (int part = 1; part < threads; ++part) {
    try {
      workers_.emplace_back([this, part] { Work(part); });
    } catch (const std::system_error&) {
      break;
    }
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
    run_.fetch_add(1, std::memory_order_release);
  }
  run_published_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::RunErased(Function function, const void* context) {
  if (!workers_.empty()) {
    function_ = function;
    context_ = context;
    working_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    bool wake;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      run_.fetch_add(1, std::memory_order_release);
      wake = sleeping_workers_ > 0;
    }
    if (wake) run_published_.notify_all();
  }
  function(context, 0);
  if (!workers_.empty()) AwaitWorkers();
}

void ThreadPool::Work(int part) {
  ScopedFloatMode float_mode;
  uint32_t seen = 0;
  while (true) {
    seen = AwaitRun(seen);
    if (stop_) return;
    function_(context_, part);
    if (working_.fetch_sub(1, std::memory_order_acq_rel) != 1) continue;
    // The last one. The caller either has seen zero, or holds the mutex or waits on it.
    std::lock_guard<std::mutex> lock(mutex_);
    if (caller_sleeping_) run_finished_.notify_one();
  }
}

uint32_t ThreadPool::AwaitRun(uint32_t seen) {
  const auto published = [&] { return run_.load(std::memory_order_acquire) != seen; };
  if (!SpinUntil(published)) {
    std::unique_lock<std::mutex> lock(mutex_);
    ++sleeping_workers_;
    run_published_.wait(lock, published);
    --sleeping_workers_;
  }
  // Runs do not overlap, so a worker never misses one.
  return seen + 1;
}

void ThreadPool::AwaitWorkers() {
  const auto finished = [this] { return working_.load(std::memory_order_acquire) == 0; };
  if (SpinUntil(finished)) return;
  std::unique_lock<std::mutex> lock(mutex_);
  caller_sleeping_ = true;
  run_finished_.wait(lock, finished);
  caller_sleeping_ = false;
}

}  // namespace ssmd::kernels::cpu
