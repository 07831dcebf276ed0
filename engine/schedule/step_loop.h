// The one thread that owns the device: takes what others post, and runs the models that have work,
// one step each in turn.
//
// Posting is thread-safe. The mailbox is bounded by what posts to it: turns by admission, retries
// by calls, and deletions of sessions that have a turn by those turns.
#ifndef SSMD_ENGINE_SCHEDULE_STEP_LOOP_H_
#define SSMD_ENGINE_SCHEDULE_STEP_LOOP_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "engine/schedule/deliveries.h"
#include "engine/schedule/model_runner.h"
#include "engine/schedule/turn.h"
#include "engine/schedule/waker.h"

namespace ssmd {

class StepLoop {
 public:
  // Starts the thread. The runners and the clock outlive the loop; `waker` is for those who change
  // what a turn waits for.
  StepLoop(std::vector<ModelRunner*> runners, const Clock* clock, std::shared_ptr<Waker> waker,
           std::shared_ptr<Deliveries> deliveries);
  // Ends every turn with UNAVAILABLE and joins the thread.
  ~StepLoop();
  StepLoop(const StepLoop&) = delete;
  StepLoop& operator=(const StepLoop&) = delete;

  void Post(ModelRunner* runner, std::unique_ptr<Turn> turn);
  // For the step thread to do between two steps.
  void Post(std::function<void()> task);

  // How often the thread has gone round. Wakes it, so that the next call finds more unless it is
  // held up in a step.
  uint64_t Pulse();

 private:
  struct Message {  // a turn to run, or something to do
    ModelRunner* runner;
    std::unique_ptr<Turn> turn;
    std::function<void()> task;
  };

  void Run();
  void TakeMessages();
  bool RunOneStep();
  void WaitForWork();
  bool stopping() const;

  const std::vector<ModelRunner*> runners_;
  const Clock* const clock_;
  // Shared with the streams, which their readers may hold for longer than this loop lives.
  const std::shared_ptr<Waker> waker_;
  const std::shared_ptr<Deliveries> deliveries_;  // likewise
  size_t next_runner_ = 0;
  std::atomic<uint64_t> rounds_{0};

  mutable Mutex mutex_;
  std::vector<Message> mailbox_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;  // last: it uses everything above
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_STEP_LOOP_H_
