// A chat's messages and tools as the values that a template sees, each string with its origin.
#ifndef SSMD_ENGINE_TEXT_CHAT_VALUES_H_
#define SSMD_ENGINE_TEXT_CHAT_VALUES_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/chat_message.h"
#include "engine/text/jinja/value.h"

namespace ssmd {

// `content_end` is put behind the message's content. INVALID_ARGUMENT names the field that is not
// UTF-8 or not JSON.
absl::StatusOr<jinja::Value> ChatMessageValue(const ChatMessage& message, jinja::Origin origin,
                                              const jinja::Text& content_end = {});
// A JSON array; of `what` speaks the error.
absl::StatusOr<jinja::Value> ChatJsonArray(const std::string& json, std::string_view what,
                                           jinja::Origin origin);
absl::StatusOr<jinja::Value> ChatJsonObject(const std::string& json, std::string_view what,
                                            jinja::Origin origin);

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_CHAT_VALUES_H_
