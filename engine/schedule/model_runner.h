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

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "engine/models/batch.h"
#include "engine/observer.h"
#include "engine/schedule/deliveries.h"
#include "engine/schedule/model_in_service.h"
#include "engine/schedule/model_stats.h"
#include "engine/schedule/pending_commit.h"
#include "engine/schedule/scheduler.h"
#include "engine/schedule/start_policy.h"
#include "engine/schedule/turn.h"
#include "engine/schedule/turn_queue.h"
#include "engine/session/session_log.h"
#include "kernels/device.h"

namespace ssmd {

struct RunnerLimits {
  int max_running = 256;
  Duration slow_reader_timeout = std::chrono::seconds(60);
  Duration ageing = std::chrono::seconds(5);
};

class ModelRunner final : private PrefixesInFlight {
 public:
  struct Context {  // all outlive the runner
    ModelInService* model = nullptr;
    kernels::Device* device = nullptr;
    SessionLog* log = nullptr;
    const Clock* clock = nullptr;
    Observer* observer = nullptr;      // may be null
    std::function<void()> wake;        // makes the step thread come round; any thread
    Deliveries* deliveries = nullptr;  // may be null
  };
  ModelRunner(Context context, const RunnerLimits& limits);

  void Submit(std::unique_ptr<Turn> turn) { waiting_.Add(std::move(turn)); }
  // Ends the turns of a session that is gone, with the reason.
  void DropSession(const SessionKey& session, const absl::Status& why);
  // Gives the stream of a request that waits or runs to a new reader. False when there is none.
  bool TakeOver(const SessionKey& session, const std::string& request_id,
                const std::shared_ptr<OutputStream>& stream);

  // Ends what is over and starts what can start. True when there is a step to run. Once the device
  // has failed, all turns are over.
  bool Tidy();
  // REQUIRES: Tidy() just returned true.
  void Step();
  // When Tidy has something to do though nothing else happens.
  std::optional<TimePoint> next_timer() const;
  // Ends every turn with `status`, but for those whose commit is being written.
  void EndAll(const absl::Status& status);
  // No turn is left.
  bool idle() const { return waiting_.empty() && running_.empty() && committing_.empty(); }

  // Any thread. What is said of sessions and of those that wait, but by
  // priority, is left to the caller.
  ModelStats stats() const;

 private:
  struct Served {  // a lane's part in a step
    Turn* turn;
    Lane* lane;
    int count;
    int first_row;
  };
  struct Committing {
    std::unique_ptr<Turn> turn;
    absl::Status reason;                    // why it ended, if before its time
    std::shared_ptr<PendingCommit> commit;  // null: to be proposed again
  };

  // ends
  absl::Status ReasonToEnd(const Turn& turn, TimePoint now) const;
  void EndOverdue(TimePoint now);
  void NotePause(Turn* turn, TimePoint now);
  void EndEarly(std::unique_ptr<Turn> turn, absl::Status reason);
  void EndFinished();
  void Commit(std::unique_ptr<Turn> turn, absl::Status reason);
  bool Propose(Committing* committing, absl::Status* status);
  void PollCommits();
  void FinishTurn(std::unique_ptr<Turn> turn, const absl::Status& status);

  // starts
  void Resume();
  void Unpark(const std::vector<Lane*>& lanes);
  void StartWaiting(TimePoint now);
  std::vector<size_t> StartOrder(TimePoint now);
  bool TakeSlots(size_t count, std::vector<Slot>* slots);
  bool GiveUpMark();
  bool LetGo(const std::vector<const Turn*>& first);
  void EndStuck();
  std::shared_ptr<PrefixWait> Find(const std::string& tenant, absl::Span<const int32_t> prompt,
                                   int64_t held) override;

  bool DeviceFailed();

  // steps
  std::vector<Served> PlanStep();
  void AddSegment(const Served& served, Batch* batch);
  void RunModel(absl::Span<const Served> served, Batch* batch);

  // figures
  void CountTurn(const Turn& turn, const RequestRecord& record);
  void PublishStats();
  void FillStats(ModelStats* stats) const;

  const Context context_;
  ModelInService* const model_;
  const RunnerLimits limits_;

  Scheduler scheduler_;
  StartPolicy start_policy_;
  TurnQueue waiting_;
  std::vector<std::unique_ptr<Turn>> running_;
  std::vector<Committing> committing_;
  bool device_failed_ = false;
  uint64_t steps_ = 0;
  int64_t fed_tokens_ = 0;
  int64_t read_tokens_ = 0;
  int64_t sampled_tokens_ = 0;
  std::array<int64_t, 7> loads_{};  // turns by StateSource

  mutable Mutex stats_mutex_;
  ModelStats stats_ ABSL_GUARDED_BY(stats_mutex_);
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_MODEL_RUNNER_H_
