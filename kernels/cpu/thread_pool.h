// Threads that run one function together, again and again, a few microseconds apart: a step of a
// small model is hundreds of such runs. A thread that has nothing to do spins for some 20 µs, then
// sleeps, so an idle server costs nothing.
//
// Thread-compatible: one thread, the device's owner, calls Run. It takes part in the work.
#ifndef SSMD_KERNELS_CPU_THREAD_POOL_H_
#define SSMD_KERNELS_CPU_THREAD_POOL_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace ssmd::kernels::cpu {

class ThreadPool {
 public:
  // `threads` >= 1 counts the caller. Where the system refuses more threads, there are fewer.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls work(part) for each part in [0, threads()), each on its own thread, and returns when all
  // have. What they wrote is visible to the caller. `work` must not throw.
  template <typename Work>
  void Run(const Work& work) {
    RunErased([](const void* context, int part) { (*static_cast<const Work*>(context))(part); },
              &work);
  }

 private:
  using Function = void (*)(const void* context, int part);

  void RunErased(Function function, const void* context);
  void Work(int part);
  // Waits until a run later than `seen` was published, and returns its number.
  uint32_t AwaitRun(uint32_t seen);
  void AwaitWorkers();

  std::vector<std::thread> workers_;

  // Written by the caller before it raises run_, read by workers after they have seen it raised.
  Function function_ = nullptr;
  const void* context_ = nullptr;
  bool stop_ = false;

  std::atomic<uint32_t> run_{0};  // raised under mutex_, so that no sleeper misses it
  std::atomic<int> working_{0};   // workers that have not finished this run

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
