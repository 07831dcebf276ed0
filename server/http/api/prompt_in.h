// Parts of requests that several endpoints have: prompts and lifetimes. What is wrong is remembered
// by the JsonIn. Pure functions.
#ifndef SSMD_SERVER_HTTP_API_PROMPT_IN_H_
#define SSMD_SERVER_HTTP_API_PROMPT_IN_H_

#include <string_view>

#include "server/http/api/json_in.h"
#include "ssmd/v1/common.pb.h"
#include "ssmd/v1/session.pb.h"

namespace ssmd::server {

// An array of messages as OpenAI has them.
void ReadMessages(JsonIn* in, std::string_view name, v1::ChatMessages* out);
// chat_template_kwargs, continue_final_message, add_generation_prompt.
void ReadTemplateOptions(JsonIn* in, v1::ChatMessages* out);
// ttl_seconds, idle_seconds.
void ReadLifetime(JsonIn* in, v1::SessionLifetime* out);
// A member that may be there as long as it asks for nothing.
void ReadUnsupported(JsonIn* in, std::string_view name, std::string_view why);
// False where the value is no array of token ids.
bool ReadIds(JsonValue value, v1::TokenIds* out);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_API_PROMPT_IN_H_
