#include "engine/schedule/score_turn.h"

#include <utility>

namespace ssmd {

ScoreTurn::ScoreTurn(ReadStart start, int32_t top_logprobs, Done done)
    : ReadTurn(std::move(start), 1, std::move(done)), top_logprobs_(top_logprobs) {
  result_.logprobs.resize(token_ids_.size() - 1);
}

void ScoreTurn::WantRows(Lane* lane, int count, std::vector<RowJob>* jobs) {
  for (int i = 0; i < count; ++i) {
    const size_t index = lane->fed + static_cast<size_t>(i);
    RowJob job;
    job.row = i;
    job.target = token_ids_[index + 1];
    job.top = top_logprobs_;
    job.scored = &result_.logprobs[index];
    job.not_finite = &not_finite_;
    jobs->push_back(job);
  }
}

ScoreResult ScoreTurn::TakeResult() {
  result_.token_ids = std::move(token_ids_);
  result_.numerics_profile = std::move(numerics_profile_);
  return std::move(result_);
}

}  // namespace ssmd
