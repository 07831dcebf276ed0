// Finds the chat template of a model: the operator's choice of a format, else what its files bring.
//
// Of a folder: chat_template.jinja, chat_template.json, or "chat_template" of
// tokenizer_config.json, a string or a list of named ones, "default" and "tool_use" among them; of
// a GGUF file, tokenizer.chat_template and tokenizer.chat_template.tool_use. Nothing of it ever
// comes from a caller.
#ifndef SSMD_ENGINE_TEXT_CHAT_TEMPLATE_H_
#define SSMD_ENGINE_TEXT_CHAT_TEMPLATE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/text/chat_format.h"
#include "engine/text/tokenizer.h"

namespace ssmd {

// What an operator may choose, beside the names of built-in formats.
inline constexpr char kChatAuto[] = "auto";  // the model's template; plain where it has none
inline constexpr char kChatNone[] = "none";  // chats are refused

// "auto", "none" or the name of a built-in format.
bool IsChatChoice(const std::string& choice);
std::string ChatChoices();  // for messages: "auto, none, plain, …"

// INVALID_ARGUMENT where the template that was found cannot be used, with the file and the line.
// REQUIRES: IsChatChoice(choice), and not "none"; `tokenizer`, the model's, outlives the format.
absl::StatusOr<std::unique_ptr<ChatFormat>> LoadChatFormat(const std::string& path,
                                                           const std::string& choice,
                                                           const Tokenizer* tokenizer);

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_CHAT_TEMPLATE_H_
