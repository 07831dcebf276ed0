// Tells readers of streams that there is something to read. Where the device computes by itself,
// that is put off until it has its next step: waking readers takes the time of a small step.
#ifndef SSMD_ENGINE_SCHEDULE_DELIVERIES_H_
#define SSMD_ENGINE_SCHEDULE_DELIVERIES_H_

#include <atomic>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

namespace ssmd {

class Deliveries {
 public:
  // What the calling thread tells from now on waits for Flush(), which it must call before it
  // sleeps. Other threads tell at once.
  void PutOff() { waiting_thread_.store(std::this_thread::get_id(), std::memory_order_relaxed); }

  void Tell(std::function<void()> ready) {
    if (waiting_thread_.load(std::memory_order_relaxed) == std::this_thread::get_id()) {
      waiting_.push_back(std::move(ready));
    } else {
      ready();
    }
  }

  // Tells those who wait. By the thread that puts off; a no-op of others.
  void Flush() {
    if (waiting_thread_.load(std::memory_order_relaxed) != std::this_thread::get_id()) return;
    for (auto& ready : std::exchange(waiting_, {})) ready();
  }

 private:
  std::atomic<std::thread::id> waiting_thread_{};
  std::vector<std::function<void()>> waiting_;  // of that thread
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_DELIVERIES_H_
