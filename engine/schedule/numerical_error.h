// The status of a turn whose logits were not finite.
#ifndef SSMD_ENGINE_SCHEDULE_NUMERICAL_ERROR_H_
#define SSMD_ENGINE_SCHEDULE_NUMERICAL_ERROR_H_

#include "absl/status/status.h"
#include "engine/base/errors.h"

namespace ssmd {

inline absl::Status NumericalError() {
  return WithReason(absl::InternalError("the model produced a number that is not finite: the turn "
                                        "is lost, a session is as it was before it"),
                    reason::kNumerical);
}

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_NUMERICAL_ERROR_H_
