// A few threads for engine calls that may wait (SessionService's changes wait for a write of the
// commit log). gRPC's own threads are few (half the CPUs, 2 to 16), and each both answers calls and
// moves every stream's bytes: one that waits holds up strangers' tokens.
//
// Bounded by its users: a call has at most one piece of work here and holds an Admission ticket.
#ifndef SSMD_SERVER_BLOCKING_POOL_H_
#define SSMD_SERVER_BLOCKING_POOL_H_

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "engine/base/mutex.h"

namespace ssmd::server {

// Thread-safe.
class BlockingPool {
 public:
  explicit BlockingPool(int threads);
  // Runs what was posted, then joins.
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  void Post(std::function<void()> work);

 private:
  void Run();

  Mutex mutex_;
  CondVar changed_;
  std::deque<std::function<void()>> work_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_BLOCKING_POOL_H_
