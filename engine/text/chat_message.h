// What is said in a chat, as callers bring it: plain values, of any front. How it becomes text is
// the model's chat format (chat_format.h).
#ifndef SSMD_ENGINE_TEXT_CHAT_MESSAGE_H_
#define SSMD_ENGINE_TEXT_CHAT_MESSAGE_H_

#include <optional>
#include <string>
#include <vector>

namespace ssmd {

// All text is UTF-8; what is JSON is checked when it is rendered.
struct ChatMessage {
  std::string role;                    // "system", "user", "assistant", "tool", "developer", …
  std::optional<std::string> content;  // absent: the message has none, as one of tool calls alone
  std::string name;                    // of these, empty is none
  std::string tool_call_id;
  std::string reasoning_content;
  // A JSON array of calls as OpenAI writes them. Arguments that are JSON in a string are given to
  // the template as the object that they stand for, as templates expect.
  std::string tool_calls;
};

struct ChatPrompt {
  std::vector<ChatMessage> messages;
  std::string tools;               // a JSON array of tools as OpenAI writes them; empty: none
  std::string template_arguments;  // a JSON object: further variables of the template; or empty
  // The text ends so that the model answers as the assistant.
  bool add_generation_prompt = true;
  // It ends within the last message, for the model to go on with; add_generation_prompt is off
  // then.
  bool continue_final_message = false;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_CHAT_MESSAGE_H_
