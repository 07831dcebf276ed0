#include "engine/schedule/score_turn.h"

#include <utility>

#include "engine/base/errors.h"
#include "engine/schedule/numerical_error.h"

namespace ssmd {

ScoreTurn::ScoreTurn(TurnHead head, std::vector<int32_t> token_ids, int32_t top_logprobs,
                     std::string numerics_profile,
                     std::shared_ptr<const std::atomic<bool>> cancelled, Done done)
    : Turn(std::move(head)),
      top_logprobs_(top_logprobs),
      cancelled_(std::move(cancelled)),
      done_(std::move(done)) {
  result_.token_ids = std::move(token_ids);
  result_.numerics_profile = std::move(numerics_profile);
}

void ScoreTurn::Start(std::vector<Slot> slots, TimePoint /*now*/) {
  lane_.slot = std::move(slots.front());
  lane_.OwnSource();
  lane_.order = LaneOrder(head().sequence, 0);
  lane_.Feed(absl::MakeConstSpan(result_.token_ids).first(result_.token_ids.size() - 1), false);
  result_.logprobs.resize(lane_.feed.size());
}

void ScoreTurn::WantRows(Lane* lane, int count, std::vector<RowJob>* jobs) {
  for (int i = 0; i < count; ++i) {
    const size_t index = lane->fed + static_cast<size_t>(i);
    RowJob job;
    job.row = i;
    job.target = result_.token_ids[index + 1];
    job.top = top_logprobs_;
    job.scored = &result_.logprobs[index];
    job.not_finite = &not_finite_;
    jobs->push_back(job);
  }
}

std::optional<absl::Status> ScoreTurn::outcome() const {
  if (not_finite_) return NumericalError();
  if (!lane_.feed.empty() && lane_.ready() == 0) return absl::OkStatus();
  return std::nullopt;
}

void ScoreTurn::Deliver(const absl::Status& status, TimePoint /*now*/) {
  if (status.ok()) {
    done_(std::move(result_));
  } else {
    done_(UnsharedCopy(status));
  }
}

RequestRecord ScoreTurn::Record(TimePoint now) const {
  RequestRecord record;
  record.usage.prompt_tokens = record.usage.computed_tokens = static_cast<int64_t>(lane_.fed);
  times().Fill(now, &record);
  return record;
}

}  // namespace ssmd
