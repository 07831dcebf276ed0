// Runs the turns of one model, step by step: ends those that are over, starts those for which there
// are slots, and advances a batch of lanes through the model.
//
// Step thread, but for stats(). It has no thread of its own, so that tests can drive it step by
// step with a clock that they hold.
//
// A cancellation, a passed deadline and a reader that is too slow are noticed by Tidy, which runs
// before every step, and their slots are free when it returns.
#ifndef SSMD_ENGINE_SCHEDULE_MODEL_RUNNER_H_
#define SSMD_ENGINE_SCHEDULE_MODEL_RUNNER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "engine/models/batch.h"
#include "engine/observer.h"
#include "engine/schedule/model_in_service.h"
#include "engine/schedule/model_stats.h"
#include "engine/schedule/scheduler.h"
#include "engine/schedule/turn.h"
#include "engine/schedule/turn_queue.h"
#include "kernels/device.h"

namespace ssmd {

struct RunnerLimits {
  int max_running = 256;
  Duration slow_reader_timeout = std::chrono::seconds(60);
};

class ModelRunner {
 public:
  // All outlive the runner; `observer` may be null.
  ModelRunner(ModelInService* model, kernels::Device* device, const RunnerLimits& limits,
              const Clock* clock, Observer* observer);

  void Submit(std::unique_ptr<Turn> turn) { waiting_.Add(std::move(turn)); }
  // Ends the turn that the session had in progress and frees the session's slot.
  void DropSession(Session* session);

  // Ends what is over and starts what can start. True when there is a step to run.
  bool Tidy();
  // REQUIRES: Tidy() just returned true.
  void Step();
  // When Tidy has something to do though nothing else happens.
  std::optional<TimePoint> next_timer() const;
  // Ends every turn with `status`.
  void EndAll(const absl::Status& status);

  // Any thread. `waiting` and `sessions` are left to the caller.
  ModelStats stats() const;

 private:
  struct Served {  // a lane's part in a step
    Turn* turn;
    Lane* lane;
    int count;
    int first_row;
  };

  absl::Status ReasonToEnd(const Turn& turn, TimePoint now) const;
  void EndOverdue(TimePoint now);
  void NotePause(Turn* turn, TimePoint now);
  void StartWaiting(TimePoint now);
  std::vector<Served> PlanStep();
  void AddSegment(const Served& served, Batch* batch);
  void RunModel(absl::Span<const Served> served, Batch* batch);
  void EndTurn(std::unique_ptr<Turn> turn, absl::Status status);
  void EndFinished();
  void CountTurn(const Turn& turn, const RequestRecord& record);
  void PublishStats();

  ModelInService* const model_;
  kernels::Device* const device_;
  const RunnerLimits limits_;
  const Clock* const clock_;
  Observer* const observer_;

  Scheduler scheduler_;
  TurnQueue waiting_;
  std::vector<std::unique_ptr<Turn>> running_;
  uint64_t steps_ = 0;

  mutable Mutex stats_mutex_;
  ModelStats stats_ ABSL_GUARDED_BY(stats_mutex_);
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_MODEL_RUNNER_H_
