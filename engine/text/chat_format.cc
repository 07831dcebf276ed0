#include "engine/text/chat_format.h"

namespace ssmd {
namespace {

std::string_view NameOf(ChatRole role) {
  switch (role) {
    case ChatRole::kSystem:
      return "System:";
    case ChatRole::kUser:
      return "User:";
    case ChatRole::kAssistant:
      return "Assistant:";
  }
  return "";
}

}  // namespace

std::string RenderPlainChat(absl::Span<const ChatMessage> messages, bool continues_history) {
  std::string text(continues_history ? "\n" : "");
  for (const ChatMessage& message : messages) {
    const std::string_view content = message.content;
    // An answer that comes back as it was sampled brings its space along.
    const bool spaced = message.role == ChatRole::kAssistant && !content.empty() &&
                        (content.front() == ' ' || content.front() == '\n');
    text.append(NameOf(message.role)).append(spaced ? "" : " ").append(content).append("\n");
  }
  return text.append("Assistant:");
}

std::vector<std::string> PlainChatStops() { return {"\nUser:", "\nSystem:"}; }

}  // namespace ssmd
