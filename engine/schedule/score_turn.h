// Scores given tokens: the log-probability of each, given all before it. Feeds all but the last.
#ifndef SSMD_ENGINE_SCHEDULE_SCORE_TURN_H_
#define SSMD_ENGINE_SCHEDULE_SCORE_TURN_H_

#include <vector>

#include "engine/schedule/read_turn.h"

namespace ssmd {

class ScoreTurn final : public ReadTurn<ScoreResult> {
 public:
  // At least 2 tokens.
  ScoreTurn(ReadStart start, int32_t top_logprobs, Done done);

  void WantRows(Lane* lane, int count, std::vector<RowJob>* jobs) override;

 private:
  ScoreResult TakeResult() override;

  const int32_t top_logprobs_;
  ScoreResult result_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_SCORE_TURN_H_
