// The one thread that owns the device: takes what others post, and runs the models that have work,
// one step each in turn.
//
// Post and Wake are thread-safe. The mailbox is bounded by what posts to it: turns by admission,
// and sessions that hold a slot or have a turn, each of which is deleted once.
#ifndef SSMD_ENGINE_SCHEDULE_STEP_LOOP_H_
#define SSMD_ENGINE_SCHEDULE_STEP_LOOP_H_

#include <memory>
#include <thread>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "engine/schedule/model_runner.h"
#include "engine/schedule/turn.h"
#include "engine/schedule/waker.h"
#include "engine/state/session.h"

namespace ssmd {

class StepLoop {
 public:
  // Starts the thread. The runners and the clock outlive the loop.
  StepLoop(std::vector<ModelRunner*> runners, const Clock* clock);
  // Ends every turn with UNAVAILABLE and joins the thread.
  ~StepLoop();
  StepLoop(const StepLoop&) = delete;
  StepLoop& operator=(const StepLoop&) = delete;

  void Post(ModelRunner* runner, std::unique_ptr<Turn> turn);
  void PostDeleted(ModelRunner* runner, std::shared_ptr<Session> session);
  // For those who change what a turn waits for; may outlive the loop.
  std::shared_ptr<Waker> waker() const { return waker_; }

 private:
  struct Message {  // a turn to run, or a session that was deleted
    ModelRunner* runner;
    std::unique_ptr<Turn> turn;
    std::shared_ptr<Session> deleted;
  };

  void Run();
  void TakeMessages();
  bool RunOneStep();
  void WaitForWork();
  bool stopping() const;

  const std::vector<ModelRunner*> runners_;
  const Clock* const clock_;
  // Shared with the streams, which their readers may hold for longer than this loop lives.
  const std::shared_ptr<Waker> waker_ = std::make_shared<Waker>();
  size_t next_runner_ = 0;

  mutable Mutex mutex_;
  std::vector<Message> mailbox_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;  // last: it uses everything above
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_STEP_LOOP_H_
