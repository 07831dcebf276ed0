// Renders chats with a model folder's own template and tokenizer, for compare.py.
//
//   render_chats FOLDER < CHATS.json
//
// CHATS.json is an array of objects with the members of ChatPrompt; tool_calls, tools and
// template_arguments are JSON in a string. For each a line: "text BYTES", then the text and a
// newline, and "ids ID ID …"; or "error MESSAGE".
#include <ctime>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>

#include "engine/formats/json.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"

namespace ssmd {
namespace {

std::string StringOf(const JsonValue& object, std::string_view key) {
  const auto member = object.Find(key);
  return std::string(member.has_value() ? member->AsString().value_or("") : "");
}

bool FlagOf(const JsonValue& object, std::string_view key) {
  const auto member = object.Find(key);
  return member.has_value() && member->AsBool().value_or(false);
}

ChatPrompt ReadPrompt(const JsonValue& object) {
  ChatPrompt prompt;
  for (const JsonValue element : object.Find("messages")->elements()) {
    ChatMessage& message = prompt.messages.emplace_back();
    message.role = StringOf(element, "role");
    if (element.Find("content").has_value()) message.content = StringOf(element, "content");
    message.name = StringOf(element, "name");
    message.tool_call_id = StringOf(element, "tool_call_id");
    message.reasoning_content = StringOf(element, "reasoning_content");
    message.tool_calls = StringOf(element, "tool_calls");
  }
  prompt.tools = StringOf(object, "tools");
  prompt.template_arguments = StringOf(object, "template_arguments");
  prompt.add_generation_prompt = FlagOf(object, "add_generation_prompt");
  prompt.continue_final_message = FlagOf(object, "continue_final_message");
  return prompt;
}

void Print(const ChatFormat& format, const ChatPrompt& prompt) {
  const std::time_t now = std::time(nullptr);
  const auto text = format.Render(prompt, now);
  const auto ids = format.Tokens(prompt, now);
  if (!text.ok() || !ids.ok()) {
    std::string line((text.ok() ? ids.status() : text.status()).message());
    for (char& c : line) c = c == '\n' ? ' ' : c;
    std::cout << "error " << line << "\n";
    return;
  }
  std::cout << "text " << text->size() << "\n" << text->bytes() << "\nids";
  for (const int32_t id : *ids) std::cout << " " << id;
  std::cout << "\n";
}

int Run(const std::string& folder) {
  const auto fail = [](const absl::Status& status) {
    std::cerr << status.message() << "\n";
    return 1;
  };
  const std::string text((std::istreambuf_iterator<char>(std::cin)), {});
  const auto chats = JsonDocument::Parse(text, "standard input", {.bytes = size_t{64} << 20});
  if (!chats.ok()) return fail(chats.status());
  const auto tokenizer = LoadTokenizer(folder);
  if (!tokenizer.ok()) return fail(tokenizer.status());
  const auto format = LoadChatFormat(folder, kChatAuto, tokenizer->get());
  if (!format.ok()) return fail(format.status());
  for (const JsonValue chat : chats->root().elements()) Print(**format, ReadPrompt(chat));
  return 0;
}

}  // namespace
}  // namespace ssmd

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: render_chats FOLDER < CHATS.json\n";
    return 2;
  }
  return ssmd::Run(argv[1]);
}
