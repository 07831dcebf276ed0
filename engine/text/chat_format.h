// The built-in plain chat format, for models that bring no template of their own:
//
//     System: …\n User: …\n Assistant: …\n User: …\n Assistant:
//
// On a session that already has a history, a new turn starts with "\n" (the history ends before the
// stop string "\nUser:").
#ifndef SSMD_ENGINE_TEXT_CHAT_FORMAT_H_
#define SSMD_ENGINE_TEXT_CHAT_FORMAT_H_

#include <string>
#include <vector>

#include "absl/types/span.h"

namespace ssmd {

enum class ChatRole : unsigned char { kSystem, kUser, kAssistant };

struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::string content;
};

// The text to feed so that the model answers as the assistant.
std::string RenderPlainChat(absl::Span<const ChatMessage> messages, bool continues_history);
// Stop strings that end an answer in this format.
std::vector<std::string> PlainChatStops();

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_CHAT_FORMAT_H_
