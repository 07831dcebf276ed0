// The bounded queue between a running generation and whoever reads it.
//
// The step thread pushes and never blocks: when the queue is full the generation pauses until the
// reader has made room. The reader pulls; it is told once when there is something to pull. Both
// ends are thread-safe.
#ifndef SSMD_ENGINE_SCHEDULE_OUTPUT_STREAM_H_
#define SSMD_ENGINE_SCHEDULE_OUTPUT_STREAM_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "engine/base/mutex.h"
#include "engine/schedule/deliveries.h"
#include "engine/schedule/request.h"

namespace ssmd {

class OutputStream {
 public:
  // `capacity_events` >= 1. `wake_producer` is called (by the reader's thread) when a stream that
  // was full has room again, and when it is cancelled. `deliveries` tells the reader; null: at
  // once.
  OutputStream(size_t capacity_events, std::function<void()> wake_producer,
               std::shared_ptr<Deliveries> deliveries = nullptr);
  // Either side may be the last. The lock says to ThreadSanitizer, which does not see into gRPC,
  // that the other one's last look is over.
  ~OutputStream() { MutexLock lock(&mutex_); }
  OutputStream(const OutputStream&) = delete;
  OutputStream& operator=(const OutputStream&) = delete;

  // --- Reader ---
  // The next event, if there is one.
  std::optional<GenerateEvent> Pop();
  // `ready` is called once, by the pushing thread or at once, when Pop() would yield an event or
  // status() has a value. It must not block. REQUIRES: no earlier callback is outstanding.
  void NotifyWhenReady(std::function<void()> ready);
  // The transport has taken the event that was popped last. (What it has not taken is not the
  // caller's: see CommitMode::kPartial.)
  void NoteAccepted();
  // Set when the generation is over and every event was popped.
  std::optional<absl::Status> status() const;
  // Gives up: the generation ends within two steps and its slots are freed. Idempotent; a no-op
  // once the turn was committed.
  void Cancel();

  // --- Producer (the step thread) ---
  // False, keeping the event out, never happens: Push always takes it; the producer asks full()
  // first and may exceed the capacity by what one step yields.
  void Push(GenerateEvent event);
  void Finish(const absl::Status& status);
  // Nothing is given any more but the status: what the transport has not taken is dropped.
  void Cut();
  bool full() const;
  bool cancelled() const;
  // Sampled tokens of choice 0 in the events that the transport has taken.
  int64_t accepted_tokens() const;

 private:
  void NotifyLocked(std::function<void()>* ready) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Tell(std::function<void()> ready) const;

  const size_t capacity_;
  const std::function<void()> wake_producer_;
  const std::shared_ptr<Deliveries> deliveries_;
  mutable Mutex mutex_;
  std::deque<GenerateEvent> events_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> status_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> ready_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t popped_tokens_ ABSL_GUARDED_BY(mutex_) = 0;  // by the last Pop
  int64_t accepted_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_OUTPUT_STREAM_H_
