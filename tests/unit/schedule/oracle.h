// What a turn must give, worked out in the plainest way: one turn at a time, every history read
// from its first token, stop strings looked for in the whole text after every token.
#ifndef SSMD_TESTS_UNIT_SCHEDULE_ORACLE_H_
#define SSMD_TESTS_UNIT_SCHEDULE_ORACLE_H_

#include <memory>
#include <string>
#include <vector>

#include "engine/schedule/request.h"
#include "engine/state/token_log.h"
#include "kernels/device.h"

namespace ssmd::testing {

// A session as the oracle keeps it.
struct OracleSession {
  TokenLog history;
  int64_t pending = 0;
};

struct OracleChoice {
  std::vector<int32_t> token_ids;  // as reported: the answer, a stop token excluded
  std::vector<float> logprobs;     // of token_ids, under the model's own distribution
  std::string text;                // as shown
  FinishReason reason = FinishReason::kLength;
  std::string stop_reason;
  std::vector<int32_t> history_token_ids;
  int64_t generated = 0;
  OracleSession after;
};

class Oracle {
 public:
  Oracle();
  // `request` has a seed, and its prompt is `prompt` as token ids.
  OracleChoice Run(const GenerateRequest& request, const OracleSession& before,
                   const std::vector<int32_t>& prompt, int choice);
  // Log-probability of `token_id` after `history`.
  float Logprob(const TokenLog& history, int32_t token_id);
  // The hidden vector after it.
  std::vector<float> Hidden(const TokenLog& history) const;
  // Those after each of `ids`, pooled.
  std::vector<float> Encoded(const std::vector<int32_t>& ids, Pooling pooling) const;

 private:
  int32_t Draw(const GenerateRequest& request, const TokenLog& history, int choice);

  std::unique_ptr<kernels::Device> device_;
};

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_UNIT_SCHEDULE_ORACLE_H_
