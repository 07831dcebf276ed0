#include "engine/base/worker.h"

#include <utility>

namespace ssmd {

Worker::Worker() : thread_([this] { Run(); }) {}

Worker::~Worker() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  posted_.NotifyOne();
  thread_.join();
}

void Worker::Post(Task task) {
  {
    MutexLock lock(&mutex_);
    tasks_.push_back(std::move(task));
  }
  posted_.NotifyOne();
}

void Worker::Run() {
  while (true) {
    Task task;
    bool cancelled = false;
    {
      MutexLock lock(&mutex_);
      while (tasks_.empty() && !stopping_) posted_.Wait(&mutex_);
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
      cancelled = stopping_;
    }
    task(cancelled);
  }
}

}  // namespace ssmd
