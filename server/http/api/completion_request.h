// Requests of OpenAI's /v1/completions, /v1/chat/completions and /v1/responses as the wire's own
// GenerateRequest, which is then checked like any other. Pure functions.
//
// Known members that ask for what this server does not do are refused where they ask for it
// (tools, response_format of JSON, images); those that change nothing here are taken and ignored
// (user, metadata, service_tier); unknown ones are refused by name. Beyond OpenAI's there are the
// members that servers of open models share (top_k, min_p, repetition_penalty, ignore_eos,
// stop_token_ids, chat_template_kwargs, continue_final_message, add_generation_prompt), and one
// object, `ssmd`, of sessions.
#ifndef SSMD_SERVER_HTTP_API_COMPLETION_REQUEST_H_
#define SSMD_SERVER_HTTP_API_COMPLETION_REQUEST_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/formats/json.h"
#include "ssmd/v1/generation.pb.h"
#include "ssmd/v1/session.pb.h"

namespace ssmd::server {

// An answer that a turn goes on from, as its id says.
struct ParentAnswer {
  std::string session_id;
  uint64_t revision = 0;
};
// "chatcmpl-SESSION-REVISION", whatever it begins with. NOT_FOUND for an id of no stored answer.
absl::StatusOr<ParentAnswer> ParseAnswerId(const std::string& id);
std::string AnswerId(std::string_view prefix, const std::string& session_id, uint64_t revision);

struct CompletionRequest {
  v1::GenerateRequest turn;
  bool stream = false;
  bool include_usage = false;  // in a stream
  bool keep = false;           // the state after the answer becomes a new session
  bool forget = false;         // a parent is gone on from, and what follows is not kept
  std::string parent_id;       // of an answer; with `keep`
  std::string instructions;    // of a response; a message of the turn, too
  v1::SessionLifetime lifetime;
  // What the wire calls some members, and this API another.
  std::vector<std::pair<std::string_view, std::string_view>> names;
};

// "max_tokens must be …" → "max_output_tokens must be …": an error in the words of the request.
absl::Status Reworded(const absl::Status& status, const CompletionRequest& request);

absl::StatusOr<CompletionRequest> ParseCompletion(JsonValue body);
absl::StatusOr<CompletionRequest> ParseChatCompletion(JsonValue body);
absl::StatusOr<CompletionRequest> ParseResponse(JsonValue body);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_API_COMPLETION_REQUEST_H_
