// One turn as its client sees it, with what the server says of it.
#ifndef SSMD_TESTS_BENCH_MEASURED_TURN_H_
#define SSMD_TESTS_BENCH_MEASURED_TURN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "clients/cpp/client.h"

namespace ssmd::bench {

struct MeasuredTurn {
  double first_token_ms = 0;  // from the call to the message that brought the first token
  double total_ms = 0;        // to the end of the stream
  v1::Final final;            // with the server's own times
};

absl::StatusOr<MeasuredTurn> MeasureTurn(client::Client& client,
                                         const v1::GenerateRequest& request);

// A greedy turn of exactly `answer_tokens`, on a session or, where that is empty, on none.
v1::GenerateRequest TurnRequest(const std::string& session_id, const std::vector<int32_t>& prompt,
                                int answer_tokens);

// Token ids that look like anything: the cost does not depend on which they are. The same arguments
// give the same ids.
std::vector<int32_t> AnyTokens(int64_t count, int32_t vocabulary, uint32_t seed);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_MEASURED_TURN_H_
