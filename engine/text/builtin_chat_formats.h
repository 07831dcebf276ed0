// Chat formats by name, for models that bring no template: templates of our own.
#ifndef SSMD_ENGINE_TEXT_BUILTIN_CHAT_FORMATS_H_
#define SSMD_ENGINE_TEXT_BUILTIN_CHAT_FORMATS_H_

#include <optional>
#include <string>
#include <string_view>

#include "engine/text/chat_format.h"

namespace ssmd {

// Absent where there is none of that name.
std::optional<ChatFormatParts> BuiltinChatFormat(std::string_view name,
                                                 const SpecialTokenTexts& special_tokens);
std::string BuiltinChatFormatNames();  // "plain, chatml, …"

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_BUILTIN_CHAT_FORMATS_H_
