// See blocking_pool.h.
#include "server/blocking_pool.h"

#include <utility>

namespace ssmd::server {

BlockingPool::BlockingPool(int threads) {
  threads_.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

BlockingPool::~BlockingPool() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

void BlockingPool::Post(std::function<void()> work) {
  {
    MutexLock lock(&mutex_);
    work_.push_back(std::move(work));
  }
  changed_.NotifyOne();
}

void BlockingPool::Run() {
  for (;;) {
    std::function<void()> work;
    {
      MutexLock lock(&mutex_);
      while (work_.empty() && !stopping_) changed_.Wait(&mutex_);
      if (work_.empty()) return;
      work = std::move(work_.front());
      work_.pop_front();
    }
    work();
  }
}

}  // namespace ssmd::server
