// Threads that run one function together, again and again, a few microseconds apart: a step of a
// small model is hundreds of such runs. A run is cut into chunks, more than there are threads. Each
// thread has a queue of chunks that follow each other, so that it reads on where it stopped, as
// caches like it, and one that has emptied its own takes from the others': a thread that wakes late
// or is held up (a server shares its CPUs with clients) delays a run by a chunk at most, and one
// that does not wake in time by nothing. A thread that has nothing to do spins for some 20 µs, then
// sleeps, so an idle server costs nothing.
//
// Thread-compatible: one thread, the device's owner, calls Run. It takes part in the work.
#ifndef SSMD_KERNELS_CPU_THREAD_POOL_H_
#define SSMD_KERNELS_CPU_THREAD_POOL_H_

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace ssmd::kernels::cpu {

class ThreadPool {
 public:
  static constexpr int kMaxChunks = (1 << 20) - 1;

  // `threads` >= 1 counts the caller. Where the system refuses more threads, there are fewer.
  // `pinned`: each keeps to one of the CPUs that the process may run on, in turn.
  explicit ThreadPool(int threads, bool pinned = false);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Pins the calling thread, the caller of Run, if the pool's are.
  void AdoptCaller() const { Pin(0); }

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Chunks to cut `count` pieces of equal work into: few enough to be worth taking, so many that
  // the last ones end together.
  int ChunksFor(int64_t count) const {
    return static_cast<int>(std::min<int64_t>(count, int64_t{threads()} * kChunksPerThread));
  }

  // Calls work(chunk, thread) once for each chunk in [0, chunks), in any order, on any thread in
  // [0, threads()), of which 0 is the caller; returns when all have returned. What they wrote is
  // visible to the caller. `work` must not throw. REQUIRES: 0 <= chunks <= kMaxChunks.
  template <typename Work>
  void Run(int chunks, const Work& work) {
    RunErased(
        chunks,
        [](const void* context, int chunk, int thread) {
          (*static_cast<const Work*>(context))(chunk, thread);
        },
        &work);
  }

 private:
  static constexpr int kChunksPerThread = 12;
  // Beyond as many threads some share a queue, as each looks through all of them.
  static constexpr int kMaxQueues = 8;

  // Chunks [next, end) of a run, with the run's number (see .cc). Taking one is one addition, and
  // says which run it is of.
  struct alignas(64) Queue {
    std::atomic<uint64_t> chunks{0};
  };

  using Function = void (*)(const void* context, int chunk, int thread);

  void RunErased(int chunks, Function function, const void* context);
  void Pin(int thread) const;
  void Work(int thread);
  void Publish(int chunks);
  // Takes and calls chunks of whichever run is under way until none is left.
  void TakeChunks(int thread);
  // Those of one queue.
  void Empty(Queue& queue, int thread);
  // Waits until a run later than `seen` is under way; false when the pool ends.
  bool AwaitRun(uint64_t seen);
  void AwaitChunks(int chunks);

  const std::vector<int> cpus_;  // to pin threads to; empty where they are not
  std::vector<std::thread> workers_;
  int queue_count_ = 1;

  // Written by the caller between runs, read by whoever has taken a chunk of the run.
  Function function_ = nullptr;
  const void* context_ = nullptr;
  int chunks_ = 0;

  // Published last to first, so that the first says which run is under way.
  Queue queues_[kMaxQueues];
  alignas(64) std::atomic<int> done_{0};  // chunks of this run that have returned
  std::atomic<bool> stop_{false};

  std::mutex mutex_;
  int sleeping_workers_ = 0;      // guarded by mutex_
  bool caller_sleeping_ = false;  // guarded by mutex_
  std::condition_variable run_published_;
  std::condition_variable run_finished_;
};

// Share `part` of [0, count) when it is cut into `parts` nearly equal pieces.
struct Range {
  int64_t begin;
  int64_t end;
};
inline Range ShareOf(int64_t count, int part, int parts) {
  return {count * part / parts, count * (part + 1) / parts};
}

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_THREAD_POOL_H_
