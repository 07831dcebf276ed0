// What goes over the wire to a server with OpenAI's HTTP API, and comes back: bodies of requests,
// chunks of streams, errors and the list of models. Pure functions over text.
#ifndef SSMD_CLIENTS_BENCH_OPENAI_WIRE_H_
#define SSMD_CLIENTS_BENCH_OPENAI_WIRE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clients/bench/endpoint.h"
#include "clients/cpp/error.h"

namespace ssmd::bench {

struct WireMessage {
  const char* role;
  std::string content;
};

// How a request says what came before it.
struct WireState {
  bool store = false;      // ssmd: keep the state after the answer as a session
  std::string session_id;  // ssmd: go on with that session
  std::string parent_id;   // ssmd: go on from the state after that answer
};

// `turn` gives the lengths and the seed. What is asked is `messages` with ask.chat, and otherwise
// `prompt`, or the turn's ids where it has any.
std::string OpenAiRequest(const AskOptions& ask, const PlannedTurn& turn, const std::string& prompt,
                          const std::vector<WireMessage>& messages, const WireState& state);

// An event of a stream.
struct OpenAiChunk {
  std::string text;  // new, of the first choice
  bool finished = false;
  std::optional<int64_t> prompt_tokens;
  std::optional<int64_t> completion_tokens;
  std::string id;          // of the answer
  std::string session_id;  // ssmd's
  std::string error;       // a code; empty: none
  std::string error_message;
};
// INVALID_ARGUMENT where the text is no such event.
client::Result<OpenAiChunk> ParseOpenAiChunk(std::string_view data);

// The message of an answer that is an error; the beginning of the text where it is of no known
// form.
std::string OpenAiErrorMessage(std::string_view body);

struct OpenAiModels {
  std::vector<std::string> names;
  bool ssmd = false;  // an ssmd serves them, which keeps sessions
};
client::Result<OpenAiModels> ParseOpenAiModels(std::string_view body);

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_OPENAI_WIRE_H_
