// See stream_watch.h.
#include "server/grpc/stream_watch.h"

#include <chrono>

namespace ssmd::server {

int StreamWatch::CancelStuck(TimePoint since) {
  // Under the lock: a call whose OnDone has begun waits in Remove(), so its context is alive. gRPC
  // runs no callback on the thread that cancels.
  MutexLock lock(&mutex_);
  int cancelled = 0;
  for (PeerWait* wait : waits_) {
    const Duration::rep ticks = wait->since_.load();
    if (ticks == 0 || ticks >= since.time_since_epoch().count()) continue;
    wait->context_->TryCancel();
    ++cancelled;
  }
  return cancelled;
}

int StreamWatch::open() const {
  MutexLock lock(&mutex_);
  return static_cast<int>(waits_.size());
}

void StreamWatch::Add(PeerWait* wait) {
  MutexLock lock(&mutex_);
  waits_.insert(wait);
}

void StreamWatch::Remove(PeerWait* wait) {
  MutexLock lock(&mutex_);
  waits_.erase(wait);
}

PeerWait::PeerWait(StreamWatch* watch, grpc::ServerContextBase* context)
    : watch_(watch), context_(context) {
  watch_->Add(this);
}

PeerWait::~PeerWait() { watch_->Remove(this); }

void PeerWait::Begin() {
  since_.store(std::chrono::steady_clock::now().time_since_epoch().count());
}

void PeerWait::End() { since_.store(0); }

}  // namespace ssmd::server
