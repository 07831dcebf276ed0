#include "kernels/cpu/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <system_error>

#include "kernels/cpu/affinity.h"
#include "kernels/cpu/float_mode.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr std::chrono::microseconds kSpin{20};
// The caller waits for threads that are at work, so for longer.
constexpr std::chrono::microseconds kCallerSpin{200};
// Polls between two looks at the clock.
constexpr int kPollsPerLook = 32;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// A queue in parts: the run's number above, then where its chunks end, then the next of them, which
// threads that find none left still raise.
constexpr int kChunkBits = 22;
constexpr uint64_t kChunkMask = (uint64_t{1} << kChunkBits) - 1;
uint64_t Packed(uint64_t run, Range chunks) {
  return run << (2 * kChunkBits) | static_cast<uint64_t>(chunks.end) << kChunkBits |
         static_cast<uint64_t>(chunks.begin);
}
uint64_t RunOf(uint64_t queue) { return queue >> (2 * kChunkBits); }
int EndOf(uint64_t queue) { return static_cast<int>(queue >> kChunkBits & kChunkMask); }
int NextOf(uint64_t queue) { return static_cast<int>(queue & kChunkMask); }

// Polls for a while; true as soon as `ready()` is.
template <typename Ready>
bool SpinUntil(std::chrono::microseconds spin, const Ready& ready) {
  const auto deadline = std::chrono::steady_clock::now() + spin;
  do {
    for (int i = 0; i < kPollsPerLook; ++i) {
      if (ready()) return true;
      Pause();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

}  // namespace

ThreadPool::ThreadPool(int threads, bool pinned)
    : cpus_(pinned ? AllowedCpus() : std::vector<int>()) {
  workers_.reserve(static_cast<size_t>(threads - 1));
  for (int thread = 1; thread < threads; ++thread) {
    try {
      workers_.emplace_back([this, thread] { Work(thread); });
    } catch (const std::system_error&) {
      break;
    }
  }
  queue_count_ = std::min(this->threads(), kMaxQueues);
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_.store(true, std::memory_order_release);
  }
  run_published_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::RunErased(int chunks, Function function, const void* context) {
  if (chunks < 2 || workers_.empty()) {
    for (int chunk = 0; chunk < chunks; ++chunk) function(context, chunk, 0);
    return;
  }
  function_ = function;
  context_ = context;
  chunks_ = chunks;
  done_.store(0, std::memory_order_relaxed);
  bool wake;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    Publish(chunks);
    wake = sleeping_workers_ > 0;
  }
  if (wake) run_published_.notify_all();
  TakeChunks(0);
  AwaitChunks(chunks);
}

void ThreadPool::Publish(int chunks) {
  const uint64_t run = RunOf(queues_[0].chunks.load(std::memory_order_relaxed)) + 1;
  for (int i = queue_count_ - 1; i >= 0; --i) {
    queues_[i].chunks.store(Packed(run, ShareOf(chunks, i, queue_count_)),
                            std::memory_order_release);
  }
}

void ThreadPool::Pin(int thread) const {
  if (!cpus_.empty()) PinThisThread(cpus_[static_cast<size_t>(thread) % cpus_.size()]);
}

void ThreadPool::Work(int thread) {
  Pin(thread);
  ScopedFloatMode float_mode;
  uint64_t seen = 0;
  while (AwaitRun(seen)) {
    seen = RunOf(queues_[0].chunks.load(std::memory_order_acquire));
    TakeChunks(thread);
  }
}

void ThreadPool::TakeChunks(int thread) {
  for (int i = 0; i < queue_count_; ++i) Empty(queues_[(thread + i) % queue_count_], thread);
}

void ThreadPool::Empty(Queue& queue, int thread) {
  while (true) {
    const uint64_t now = queue.chunks.load(std::memory_order_acquire);
    if (NextOf(now) >= EndOf(now)) return;
    const uint64_t taken = queue.chunks.fetch_add(1, std::memory_order_acq_rel);
    if (NextOf(taken) >= EndOf(taken)) return;
    // The run cannot end, nor these change, before this chunk has.
    const int chunks = chunks_;
    function_(context_, NextOf(taken), thread);
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 != chunks || thread == 0) continue;
    // The last one. The caller either has seen it, or holds the mutex or waits on it.
    std::lock_guard<std::mutex> lock(mutex_);
    if (caller_sleeping_) run_finished_.notify_one();
  }
}

bool ThreadPool::AwaitRun(uint64_t seen) {
  const auto published = [&] {
    return RunOf(queues_[0].chunks.load(std::memory_order_acquire)) != seen ||
           stop_.load(std::memory_order_acquire);
  };
  if (!SpinUntil(kSpin, published)) {
    std::unique_lock<std::mutex> lock(mutex_);
    ++sleeping_workers_;
    run_published_.wait(lock, published);
    --sleeping_workers_;
  }
  return !stop_.load(std::memory_order_acquire);
}

void ThreadPool::AwaitChunks(int chunks) {
  const auto finished = [&] { return done_.load(std::memory_order_acquire) == chunks; };
  if (SpinUntil(kCallerSpin, finished)) return;
  std::unique_lock<std::mutex> lock(mutex_);
  caller_sleeping_ = true;
  run_finished_.wait(lock, finished);
  caller_sleeping_ = false;
}

}  // namespace ssmd::kernels::cpu
