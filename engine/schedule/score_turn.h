// Scores given tokens: the log-probability of each, given all before it. Feeds all but the last in
// one working slot, through the same steps as every other turn.
#ifndef SSMD_ENGINE_SCHEDULE_SCORE_TURN_H_
#define SSMD_ENGINE_SCHEDULE_SCORE_TURN_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/schedule/request.h"
#include "engine/schedule/turn.h"

namespace ssmd {

class ScoreTurn final : public Turn {
 public:
  using Done = std::function<void(absl::StatusOr<ScoreResult>)>;

  // `token_ids`: at least 2. `cancelled` is shared with whoever may cancel, from any thread.
  ScoreTurn(TurnHead head, std::vector<int32_t> token_ids, int32_t top_logprobs,
            std::string numerics_profile, std::shared_ptr<const std::atomic<bool>> cancelled,
            Done done);

  bool cancelled() const override { return *cancelled_; }
  void Start(std::vector<Slot> slots, TimePoint now) override;
  void AppendLanes(std::vector<Lane*>* lanes) override { lanes->push_back(&lane_); }
  void WantRows(Lane* lane, int count, std::vector<RowJob>* jobs) override;
  int Advance(Lane* /*lane*/, TimePoint /*now*/, Observer* /*observer*/) override { return 0; }
  std::optional<absl::Status> outcome() const override;
  void Deliver(const absl::Status& status, TimePoint now) override;
  RequestRecord Record(TimePoint now) const override;

 private:
  void ReleaseHeld() override { lane_.slot.Release(); }

  const int32_t top_logprobs_;
  const std::shared_ptr<const std::atomic<bool>> cancelled_;
  const Done done_;
  ScoreResult result_;
  Lane lane_;
  bool not_finite_ = false;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_SCORE_TURN_H_
