// How a committed turn was answered, kept so that a retry gets the same answer and is not applied
// twice (semantics 10). Log-probabilities are not kept.
#ifndef SSMD_ENGINE_SESSION_TURN_RESULT_H_
#define SSMD_ENGINE_SESSION_TURN_RESULT_H_

#include <cstdint>
#include <string>
#include <vector>

namespace ssmd {

enum class StateSource : uint8_t { kFresh, kResident, kHost, kDisk, kRemote, kPrefix, kReplayed };
enum class FinishReason : uint8_t { kStop, kLength, kPartial };

struct Usage {
  int64_t prompt_tokens = 0;      // reused + computed
  int64_t reused_tokens = 0;      // position − |pending| at the turn's start
  int64_t computed_tokens = 0;    // |pending| + new prompt tokens
  int64_t recomputed_tokens = 0;  // fed again for any reason
  int64_t generated_tokens = 0;   // sampled
};

// The caller's name for a request, and what it asked for: a retry has the same of both.
struct RequestKey {
  std::string request_id;  // empty: none was given
  uint64_t body_hash = 0;
};

struct ChoiceResult {
  FinishReason reason = FinishReason::kLength;
  std::string stop_reason;
  std::string text;                        // all that was streamed
  std::vector<int32_t> token_ids;          // sampled and streamed
  std::vector<int32_t> history_token_ids;  // the sampled part of history
  std::string session_id;
  uint64_t revision = 0;
  Usage usage;
};

struct TurnResult {
  RequestKey key;
  uint64_t base_revision = 0;
  StateSource state_source = StateSource::kFresh;
  uint64_t seed = 0;
  std::vector<ChoiceResult> choices;  // empty: all that is left is that the turn was committed
  Usage usage;
};

// The answer took more bytes than are kept. A retry is refused, for it must not be applied again.
inline bool IsWithoutAnswer(const TurnResult& result) { return result.choices.empty(); }

}  // namespace ssmd

#endif  // SSMD_ENGINE_SESSION_TURN_RESULT_H_
