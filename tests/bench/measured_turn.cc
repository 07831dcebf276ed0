#include "tests/bench/measured_turn.h"

#include <chrono>
#include <random>

#include "tests/bench/server_under_test.h"

namespace ssmd::bench {

absl::StatusOr<MeasuredTurn> MeasureTurn(client::Client& client,
                                         const v1::GenerateRequest& request) {
  MeasuredTurn turn;
  const auto start = std::chrono::steady_clock::now();
  const auto since_start = [start] {
    const auto passed = std::chrono::steady_clock::now() - start;
    return std::chrono::duration<double, std::milli>(passed).count();
  };
  const auto error = client.Generate(request, {}, [&](const v1::GenerateResponse& event) {
    if (event.has_delta() && event.delta().token_ids_size() > 0 && turn.first_token_ms == 0) {
      turn.first_token_ms = since_start();
    }
    if (event.has_final()) turn.final = event.final();
  });
  turn.total_ms = since_start();
  if (error.has_value()) return StatusOf(*error);
  return turn;
}

v1::GenerateRequest TurnRequest(const std::string& session_id, const std::vector<int32_t>& prompt,
                                int answer_tokens) {
  v1::GenerateRequest request;
  request.set_session_id(session_id);
  request.mutable_token_ids()->mutable_ids()->Assign(prompt.begin(), prompt.end());
  request.set_max_tokens(answer_tokens);
  request.mutable_sampling()->set_temperature(0);
  request.mutable_stop()->set_ignore_eos(true);
  return request;
}

std::vector<int32_t> AnyTokens(int64_t count, int32_t vocabulary, uint32_t seed) {
  std::minstd_rand random(seed + 1);
  std::vector<int32_t> tokens;
  tokens.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(vocabulary)));
  }
  return tokens;
}

}  // namespace ssmd::bench
