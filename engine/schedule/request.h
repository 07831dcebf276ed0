// What a caller asks of the engine and what it gets back: plain values, validated by the caller
// (server/convert.*) against Limits before they come here. The engine checks again only what
// depends on its own state (does the model exist, is the token id in its vocabulary, is the session
// busy).
#ifndef SSMD_ENGINE_SCHEDULE_REQUEST_H_
#define SSMD_ENGINE_SCHEDULE_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/base/clock.h"
#include "engine/log/commit_log.h"
#include "engine/models/memory_reader.h"
#include "engine/sample/penalties.h"
#include "engine/session/session_table.h"
#include "engine/session/turn_result.h"
#include "engine/state/prefix_tree.h"
#include "engine/text/chat_message.h"
#include "kernels/ops.h"

namespace ssmd {

using Prompt = std::variant<std::string, std::vector<int32_t>, ChatPrompt>;

struct SamplingParams {
  float temperature = 1;  // 0 = greedy
  int32_t top_k = 0;      // 0 = all
  float top_p = 1;
  float min_p = 0;
  PenaltyParams penalties;
  std::optional<uint64_t> seed;  // absent: drawn at random and reported
};

// Which part of the sampled text stays in a session's history when a stop string matched
// (design: a stop token is never put into history).
enum class StopHistory : uint8_t {
  kTrim,  // history ends before the token that holds the stop string's first byte; that token's
          // bytes before the stop string are tokenised again into `pending`
  kKeep,  // every sampled token stays
};

struct StopParams {
  std::vector<std::string> strings;
  std::vector<int32_t> token_ids;  // beside the model's EOS
  bool ignore_eos = false;         // EOS is sampled like any token and does not stop
  StopHistory history = StopHistory::kTrim;
};

// What a turn that does not come to its end leaves of its session.
enum class CommitMode : uint8_t {
  kOnComplete,  // nothing: the session stays as it was before the turn
  kPartial,     // the answer up to the last token that the transport has accepted
};

// Three classes; a turn that waits rises by one for every EngineLimits::ageing that it has waited.
enum class Priority : int8_t { kLow = -1, kNormal = 0, kHigh = 1 };

struct GenerateRequest {
  std::string tenant;
  std::string trace_id;    // of the caller's distributed trace, for logs; empty: none
  std::string model;       // empty: the only model served
  std::string session_id;  // empty: an anonymous session, freed at the end
  std::optional<uint64_t> expected_revision;
  WhenBusy when_busy = WhenBusy::kAbort;  // the session has a turn in progress
  RequestKey key;                         // for retries; with a session only
  CommitMode commit = CommitMode::kOnComplete;
  Durability durability = Durability::kProcess;
  Prompt prompt;
  bool parse_special = false;  // special tokens written in a text prompt are recognised
  SamplingParams sampling;
  StopParams stop;
  int32_t max_tokens = 256;  // >= 0 on a prompt; 0 only feeds the prompt
  int32_t choices = 1;       // n
  bool echo = false;         // the prompt's text and ids (and logprobs) come first
  std::optional<int32_t>
      top_logprobs;  // absent: no logprobs; k: of each token and the k most likely
  Priority priority = Priority::kNormal;
  std::optional<TimePoint> deadline;
};

// Samples for a memory: a turn that reads them and commits. Its stream is that of a generation
// which samples nothing.
struct AppendRequest {
  std::string tenant;
  std::string trace_id;
  std::string session_id;
  std::optional<uint64_t> expected_revision;
  WhenBusy when_busy = WhenBusy::kAbort;
  RequestKey key;
  Durability durability = Durability::kProcess;
  std::vector<float> samples;  // interleaved by channel
  std::optional<TimePoint> deadline;
};

struct TokenDetail {
  int32_t token_id = 0;
  float logprob = 0;
  std::vector<kernels::TokenLogprob> top;
};

struct Timings {
  Duration queue{};        // submission to the first step that ran for it
  Duration load{};         // of that, waiting for its state to come from host memory or the store
  Duration first_token{};  // submission to the first sampled token
  Duration total{};        // submission to the end
};

// Events, in order: Started, Progress*, (Delta | ChoiceFinished)*, then Final or an error status.
struct StartedEvent {
  std::string request_id;
  std::string model;
  std::string session_id;  // empty for an anonymous session
  uint64_t base_revision = 0;
  StateSource state_source = StateSource::kFresh;
  uint64_t seed = 0;
  std::string numerics_profile;
  bool replayed = false;  // a retry: what follows was sent before
};
struct ProgressEvent {  // prefill, after each step that did some of it and left some
  int64_t done_tokens = 0;
  int64_t total_tokens = 0;
};
struct DeltaEvent {
  int32_t choice = 0;
  std::string text;                   // whole characters; may be empty
  std::vector<int32_t> token_ids;     // sampled (or echoed) since the choice's last Delta
  std::vector<TokenDetail> logprobs;  // one per token id when asked for; absent (no entry) for a
                                      // first echoed token, which nothing precedes
  bool echo = false;
};
struct ChoiceFinishedEvent {
  int32_t choice = 0;
  FinishReason reason = FinishReason::kLength;
  std::string stop_reason;  // the stop string or the stop token's text (its id in decimal without a
                            // tokenizer) when reason is kStop
  std::vector<int32_t> history_token_ids;  // the sampled part of history, authoritative
  std::string session_id;                  // of the committed session; empty when anonymous
  uint64_t revision = 0;
  Usage usage;
};
struct FinalEvent {
  Usage usage;  // prompt side once, generated side summed over choices
  Timings timings;
  StateSource state_source = StateSource::kFresh;
  PrefixMiss miss = PrefixMiss::kNone;  // why a prompt without a session reused no more
};
using GenerateEvent =
    std::variant<StartedEvent, ProgressEvent, DeltaEvent, ChoiceFinishedEvent, FinalEvent>;

// A session to be made, perhaps with a history that is read at once.
struct CreateSessionRequest {
  std::string tenant;
  std::string model;             // empty: the only model served
  std::optional<Prompt> prompt;  // absent: an empty history
  bool parse_special = false;
  SessionLifetime lifetime;
  std::optional<TimePoint> deadline;
};

struct ScoreRequest {
  std::string tenant;
  std::string model;
  std::variant<std::string, std::vector<int32_t>> prompt;  // at least 2 tokens
  bool parse_special = false;
  int32_t top_logprobs = 0;
  std::optional<TimePoint> deadline;
};
struct ScoreResult {
  std::vector<int32_t> token_ids;
  std::vector<TokenDetail> logprobs;  // of token_ids[1..]
  std::string numerics_profile;
};

// How hidden vectors become one, element by element: their mean, the last, or the largest.
enum class Pooling : uint8_t { kMean, kLast, kMax };

struct EncodeRequest {
  std::string tenant;
  std::string model;
  std::variant<std::string, std::vector<int32_t>> prompt;  // at least 1 token
  bool parse_special = false;
  Pooling pooling = Pooling::kMean;
  bool normalize = false;  // to a Euclidean length of 1; a vector of zeros stays one
  std::optional<TimePoint> deadline;
};
struct EncodeResult {
  std::vector<float> values;  // (d_model)
  int64_t tokens = 0;         // that were read, and pooled
  std::string numerics_profile;
};

// What a memory says of its session's last commit.
struct MemoryReading {
  uint64_t revision = 0;
  int64_t samples = 0;        // of each channel
  int64_t first_covered = 0;  // the first sample that can be reconstructed
  std::vector<ChannelReading> channels;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_REQUEST_H_
