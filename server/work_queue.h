// One thread that runs posted work in order. It takes work off threads that must not be held up:
// the step thread posts "stream X has output" here, and turning events into messages, serialising
// them and handing them to gRPC (which may encrypt and write to sockets) happens on this thread.
//
// Bounded by its users: a call has at most one piece of work posted at a time.
#ifndef SSMD_SERVER_WORK_QUEUE_H_
#define SSMD_SERVER_WORK_QUEUE_H_

#include <deque>
#include <functional>
#include <thread>

#include "engine/base/mutex.h"

namespace ssmd::server {

// Thread-safe.
class WorkQueue {
 public:
  WorkQueue();
  // Runs what was posted, then joins.
  ~WorkQueue();
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  void Post(std::function<void()> work);

 private:
  void Run();

  Mutex mutex_;
  CondVar changed_;
  std::deque<std::function<void()>> work_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: starts when the rest is there
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_WORK_QUEUE_H_
