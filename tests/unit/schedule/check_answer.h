// Holds a finished answer against the oracle.
#ifndef SSMD_TESTS_UNIT_SCHEDULE_CHECK_ANSWER_H_
#define SSMD_TESTS_UNIT_SCHEDULE_CHECK_ANSWER_H_

#include <vector>

#include "tests/unit/schedule/harness.h"
#include "tests/unit/schedule/oracle.h"

namespace ssmd::testing {

// Expects every part of `answer` to be what `request`, whose prompt is token ids, gives on
// `before`. Returns what each choice leaves.
std::vector<OracleChoice> CheckAnswer(Oracle* oracle, const Answer& answer,
                                      const GenerateRequest& request, const OracleSession& before);

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_UNIT_SCHEDULE_CHECK_ANSWER_H_
