#include "engine/schedule/output_stream.h"

#include <utility>

#include "engine/base/errors.h"

namespace ssmd {

OutputStream::OutputStream(size_t capacity_events, std::function<void()> wake_producer,
                           std::shared_ptr<Deliveries> deliveries)
    : capacity_(capacity_events),
      wake_producer_(std::move(wake_producer)),
      deliveries_(std::move(deliveries)) {}

std::optional<GenerateEvent> OutputStream::Pop() {
  std::optional<GenerateEvent> event;
  bool has_room_again = false;
  {
    MutexLock lock(&mutex_);
    if (events_.empty()) return std::nullopt;
    event = std::move(events_.front());
    events_.pop_front();
    const auto* delta = std::get_if<DeltaEvent>(&*event);
    popped_tokens_ = delta != nullptr && delta->choice == 0 && !delta->echo
                         ? static_cast<int64_t>(delta->token_ids.size())
                         : 0;
    has_room_again = events_.size() + 1 == capacity_ && !status_.has_value();
  }
  if (has_room_again) wake_producer_();
  return event;
}

void OutputStream::NoteAccepted() {
  MutexLock lock(&mutex_);
  accepted_tokens_ += std::exchange(popped_tokens_, 0);
}

int64_t OutputStream::accepted_tokens() const {
  MutexLock lock(&mutex_);
  return accepted_tokens_;
}

void OutputStream::Cut() {
  MutexLock lock(&mutex_);
  events_.clear();
  popped_tokens_ = 0;
}

void OutputStream::NotifyWhenReady(std::function<void()> ready) {
  {
    MutexLock lock(&mutex_);
    if (events_.empty() && !status_.has_value()) {
      ready_ = std::move(ready);
      return;
    }
  }
  ready();
}

std::optional<absl::Status> OutputStream::status() const {
  MutexLock lock(&mutex_);
  if (!events_.empty() || !status_.has_value()) return std::nullopt;
  return UnsharedCopy(*status_);
}

void OutputStream::Cancel() {
  {
    MutexLock lock(&mutex_);
    if (cancelled_ || status_.has_value()) return;
    cancelled_ = true;
  }
  wake_producer_();
}

void OutputStream::Push(GenerateEvent event) {
  std::function<void()> ready;
  {
    MutexLock lock(&mutex_);
    events_.push_back(std::move(event));
    NotifyLocked(&ready);
  }
  Tell(std::move(ready));
}

void OutputStream::Finish(const absl::Status& status) {
  std::function<void()> ready;
  {
    MutexLock lock(&mutex_);
    status_ = UnsharedCopy(status);
    NotifyLocked(&ready);
  }
  Tell(std::move(ready));
}

void OutputStream::Tell(std::function<void()> ready) const {
  if (!ready) return;
  if (deliveries_ != nullptr) {
    deliveries_->Tell(std::move(ready));
  } else {
    ready();
  }
}

bool OutputStream::full() const {
  MutexLock lock(&mutex_);
  return events_.size() >= capacity_;
}

bool OutputStream::cancelled() const {
  MutexLock lock(&mutex_);
  return cancelled_;
}

void OutputStream::NotifyLocked(std::function<void()>* ready) {
  *ready = std::move(ready_);
  ready_ = nullptr;
}

}  // namespace ssmd
