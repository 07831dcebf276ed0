// A turn that reads given tokens once, in one working slot, through the same steps as every other
// turn, and leaves no state behind: what comes of it is a Result.
#ifndef SSMD_ENGINE_SCHEDULE_READ_TURN_H_
#define SSMD_ENGINE_SCHEDULE_READ_TURN_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/schedule/numerical_error.h"
#include "engine/schedule/request.h"
#include "engine/schedule/turn.h"

namespace ssmd {

// What every such turn begins with.
struct ReadStart {
  TurnHead head;
  std::vector<int32_t> token_ids;
  std::string numerics_profile;
  std::shared_ptr<const std::atomic<bool>> cancelled;  // by whoever may, from any thread
};

template <typename Result>
class ReadTurn : public Turn {
 public:
  using Done = std::function<void(absl::StatusOr<Result>)>;

  // The last `unfed` of the tokens do not go through the model: nothing is asked of what follows.
  ReadTurn(ReadStart start, size_t unfed, Done done)
      : Turn(std::move(start.head)),
        token_ids_(std::move(start.token_ids)),
        numerics_profile_(std::move(start.numerics_profile)),
        unfed_(unfed),
        cancelled_(std::move(start.cancelled)),
        done_(std::move(done)) {}

  bool cancelled() const override { return *cancelled_; }
  void Start(std::vector<Slot> slots, TimePoint /*now*/) override {
    lane_.slot = std::move(slots.front());
    lane_.OwnSource();
    lane_.order = LaneOrder(head().sequence, 0);
    lane_.Feed(absl::MakeConstSpan(token_ids_).first(token_ids_.size() - unfed_), false);
  }
  void AppendLanes(std::vector<Lane*>* lanes) override { lanes->push_back(&lane_); }
  int Advance(Lane* /*lane*/, TimePoint /*now*/, Observer* /*observer*/) override { return 0; }
  std::optional<absl::Status> outcome() const override {
    if (not_finite_) return NumericalError();
    if (!lane_.feed.empty() && lane_.ready() == 0) return absl::OkStatus();
    return std::nullopt;
  }
  void Deliver(const absl::Status& status, TimePoint /*now*/) override {
    if (status.ok()) {
      done_(TakeResult());
    } else {
      done_(UnsharedCopy(status));
    }
  }
  RequestRecord Record(TimePoint now) const override {
    RequestRecord record;
    record.usage.prompt_tokens = record.usage.computed_tokens = static_cast<int64_t>(lane_.fed);
    times().Fill(now, &record);
    return record;
  }

 protected:
  // Of all that was read. Called once.
  virtual Result TakeResult() = 0;

  std::vector<int32_t> token_ids_;
  std::string numerics_profile_;
  bool not_finite_ = false;

 private:
  void ReleaseHeld() override { lane_.slot.Release(); }

  const size_t unfed_;
  const std::shared_ptr<const std::atomic<bool>> cancelled_;
  const Done done_;
  Lane lane_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_READ_TURN_H_
