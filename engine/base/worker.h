// A thread that does what it is given, in order, so that whoever gives it never waits. When the
// worker goes, the task in progress ends, and each of those that wait is told that it is cancelled.
//
// Thread-safe. The queue is bounded by its users.
#ifndef SSMD_ENGINE_BASE_WORKER_H_
#define SSMD_ENGINE_BASE_WORKER_H_

#include <deque>
#include <functional>
#include <thread>

#include "engine/base/mutex.h"

namespace ssmd {

class Worker {
 public:
  using Task = std::function<void(bool cancelled)>;

  Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();  // not on the worker's thread

  // `task` is called once, on the worker's thread.
  void Post(Task task);

 private:
  void Run();

  Mutex mutex_;
  CondVar posted_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_BASE_WORKER_H_
