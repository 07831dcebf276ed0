// A generation put together from its events, and as JSON: the whole result, or event by event.
#ifndef SSMD_CLIENTS_SSMCTL_GENERATION_RESULT_H_
#define SSMD_CLIENTS_SSMCTL_GENERATION_RESULT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "clients/ssmctl/json_writer.h"
#include "ssmd/v1/generation.pb.h"

namespace ssmd::ctl {

// Text and tokens of one choice, or of the echoed prompt.
struct Passage {
  std::string text;
  std::vector<int32_t> token_ids;
  std::vector<v1::TokenDetail> logprobs;

  void Add(const v1::Delta& delta);
};

struct ChoiceResult {
  Passage echo;
  Passage answer;
  v1::ChoiceFinished finished;
};

struct GenerationResult {
  v1::Started started;
  std::map<int32_t, ChoiceResult> choices;  // by index
  v1::Final final;

  void Add(const v1::GenerateResponse& event);
};

// One object in the form of the command-line contract. With more than one choice the object has a
// list "choices" of such objects, beside what they share. `with_logprobs`: they were asked for.
void WriteResult(const GenerationResult& result, bool with_logprobs, JsonWriter* writer);

// One event as one object: {"event": "delta", …}. False for an event that this program does not
// know.
bool WriteEvent(const v1::GenerateResponse& event, JsonWriter* writer);

// "FRESH" of STATE_SOURCE_FRESH; a value that this program does not know is its number.
std::string StateSourceName(v1::StateSource source);
// "NO_STATE" of REUSE_MISS_NO_STATE.
std::string ReuseMissName(v1::ReuseMiss miss);
// "stop", "length".
std::string FinishReasonName(v1::FinishReason reason);

// Where the turn found its state, as its last event says, or its first where there is no last.
v1::StateSource SourceOf(const GenerationResult& result);
// "state RESIDENT: 25 tokens reused, 3 computed".
std::string ReuseLine(const GenerationResult& result);

void WriteTokenLogprob(const v1::TokenLogprob& token, JsonWriter* writer);
void WriteTokenDetails(const std::vector<v1::TokenDetail>& details, JsonWriter* writer);

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_GENERATION_RESULT_H_
