#include "engine/schedule/step_loop.h"

#include <algorithm>
#include <utility>

#include "engine/base/errors.h"

namespace ssmd {

StepLoop::StepLoop(std::vector<ModelRunner*> runners, const Clock* clock,
                   std::shared_ptr<Waker> waker, std::shared_ptr<Deliveries> deliveries)
    : runners_(std::move(runners)),
      clock_(clock),
      waker_(std::move(waker)),
      deliveries_(std::move(deliveries)),
      thread_([this] { Run(); }) {}

StepLoop::~StepLoop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  waker_->Wake();
  thread_.join();
}

void StepLoop::Post(ModelRunner* runner, std::unique_ptr<Turn> turn) {
  {
    MutexLock lock(&mutex_);
    mailbox_.push_back({runner, std::move(turn), nullptr});
  }
  waker_->Wake();
}

void StepLoop::Post(std::function<void()> task) {
  {
    MutexLock lock(&mutex_);
    mailbox_.push_back({nullptr, nullptr, std::move(task)});
  }
  waker_->Wake();
}

uint64_t StepLoop::Pulse() {
  waker_->Wake();
  return rounds_.load();
}

bool StepLoop::stopping() const {
  MutexLock lock(&mutex_);
  return stopping_;
}

void StepLoop::TakeMessages() {
  std::vector<Message> messages;
  {
    MutexLock lock(&mutex_);
    messages.swap(mailbox_);
  }
  for (Message& message : messages) {
    if (message.turn != nullptr) {
      message.runner->Submit(std::move(message.turn));
    } else {
      message.task();
    }
  }
}

void StepLoop::Run() {
  while (!stopping()) {
    rounds_.fetch_add(1);
    TakeMessages();
    if (!RunOneStep()) WaitForWork();
  }
  TakeMessages();
  for (ModelRunner* runner : runners_) {
    runner->EndAll(
        WithReason(absl::UnavailableError("the server is shutting down"), reason::kDraining));
  }
  // What is being committed is written before anyone is told.
  for (ModelRunner* runner : runners_) {
    while (!runner->idle()) {
      deliveries_->Flush();
      waker_->Wait(std::nullopt);
      runner->Tidy();
    }
  }
  deliveries_->Flush();
}

// Every model is tidied before every step, so that none waits for another's turn to be ended.
bool StepLoop::RunOneStep() {
  std::vector<bool> has_work;
  for (ModelRunner* runner : runners_) has_work.push_back(runner->Tidy());
  for (size_t i = 0; i < runners_.size(); ++i) {
    const size_t candidate = (next_runner_ + i) % runners_.size();
    if (!has_work[candidate]) continue;
    runners_[candidate]->Step();
    next_runner_ = candidate + 1;
    return true;
  }
  return false;
}

void StepLoop::WaitForWork() {
  deliveries_->Flush();
  std::optional<TimePoint> timer;
  for (const ModelRunner* runner : runners_) {
    const auto next = runner->next_timer();
    if (next.has_value() && (!timer.has_value() || *next < *timer)) timer = next;
  }
  // The engine's clock may be a test's; the wait is on the real one.
  if (timer.has_value()) {
    *timer = std::chrono::steady_clock::now() + std::max(*timer - clock_->Now(), Duration::zero());
  }
  waker_->Wait(timer);
}

}  // namespace ssmd
