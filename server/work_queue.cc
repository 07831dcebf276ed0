// See work_queue.h.
#include "server/work_queue.h"

#include <utility>

namespace ssmd::server {

WorkQueue::WorkQueue() : thread_([this] { Run(); }) {}

WorkQueue::~WorkQueue() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  changed_.NotifyOne();
  thread_.join();
}

void WorkQueue::Post(std::function<void()> work) {
  {
    MutexLock lock(&mutex_);
    work_.push_back(std::move(work));
  }
  changed_.NotifyOne();
}

void WorkQueue::Run() {
  for (;;) {
    std::deque<std::function<void()>> batch;
    {
      MutexLock lock(&mutex_);
      while (work_.empty() && !stopping_) changed_.Wait(&mutex_);
      if (work_.empty()) return;
      batch.swap(work_);
    }
    for (auto& work : batch) work();
  }
}

}  // namespace ssmd::server
