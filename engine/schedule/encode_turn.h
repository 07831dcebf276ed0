// Encodes given tokens as one vector: the model's final hidden vectors, behind its last norm,
// pooled over all of them. No logits are made.
#ifndef SSMD_ENGINE_SCHEDULE_ENCODE_TURN_H_
#define SSMD_ENGINE_SCHEDULE_ENCODE_TURN_H_

#include <vector>

#include "engine/schedule/read_turn.h"

namespace ssmd {

class EncodeTurn final : public ReadTurn<EncodeResult> {
 public:
  // At least 1 token. `d_model`: elements of a hidden vector.
  EncodeTurn(ReadStart start, Pooling pooling, bool normalize, int d_model, Done done);

  void WantRows(Lane* lane, int count, std::vector<RowJob>* jobs) override;
  int Advance(Lane* lane, TimePoint now, Observer* observer) override;

 private:
  EncodeResult TakeResult() override;
  void Pool(const float* hidden);

  const Pooling pooling_;
  const bool normalize_;
  const size_t d_model_;
  std::vector<float> step_rows_;  // that this step's hidden vectors are written to
  // So far: of kMean the sum, in the order of the tokens, so that steps do not show in a bit.
  std::vector<double> pooled_;
  int64_t pooled_rows_ = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_ENCODE_TURN_H_
