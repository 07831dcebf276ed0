#include "engine/text/builtin_chat_formats.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/text_view.h"

namespace ssmd {
namespace {

struct Builtin {
  std::string_view name;
  std::string_view source;
  std::vector<std::string> stop_strings;
};

// What none of them has a place for.
constexpr std::string_view kRefusals =
    "{% if tools %}{{ raise_exception('this chat format has no place for tools') }}{% endif %}";

// An answer that comes back as it was sampled brings its space along.
constexpr std::string_view kPlain = R"(
{%- for message in messages %}
{%- set content = message.content | default('') %}
{{- 'System' if message.role == 'developer' else message.role | capitalize }}:
{{- '' if message.role == 'assistant' and content[:1] in [' ', '\n'] else ' ' }}
{{- content + '\n' }}
{%- endfor %}
{{- 'Assistant:' if add_generation_prompt }})";

constexpr std::string_view kChatml = R"(
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\n' + message.content | default('') + '<|im_end|>\n' }}
{%- endfor %}
{{- '<|im_start|>assistant\n' if add_generation_prompt }})";

// Zephyr's, which mamba-chat was trained with.
constexpr std::string_view kZephyr = R"(
{%- for message in messages %}
{{- '<|' + message.role + '|>\n' + message.content | default('') + eos_token ~ '\n' }}
{%- endfor %}
{{- '<|assistant|>\n' if add_generation_prompt }})";

// Where the first system message goes in the two below: before the first question.
constexpr std::string_view kSystemFirst = R"(
{%- set system = messages[0].content if messages[0].role in ['system', 'developer'] else none %}
{%- set turns = messages[1:] if system is not none else messages %}
{%- for message in turns if message.role not in ['user', 'assistant'] %}
{{- raise_exception('this chat format knows users and assistants, and one system message that comes first') }}
{%- endfor %})";

constexpr std::string_view kLlama2 = R"(
{%- for message in turns %}
{%- if message.role == 'user' %}
{{- '' if loop.first else bos_token }}
{{- '[INST] ' + ('<<SYS>>\n' + system + '\n<</SYS>>\n\n' if loop.first and system else '') }}
{{- message.content | trim + ' [/INST]' }}
{%- else %}
{{- ' ' + message.content | trim + ' ' + eos_token }}
{%- endif %}
{%- endfor %})";

// Of Mistral's models since their third tokenizer, Codestral Mamba among them.
constexpr std::string_view kMistral = R"(
{%- for message in turns %}
{%- if message.role == 'user' %}
{{- '[INST] ' + (system + '\n\n' if loop.last and system else '') + message.content + '[/INST]' }}
{%- else %}
{{- ' ' + message.content + eos_token }}
{%- endif %}
{%- endfor %})";

constexpr std::string_view kJamba = R"(
{%- for message in messages %}
{{- '<|bom|><|' + message.role + '|> ' + message.content | default('') + '<|eom|>' }}
{%- endfor %}
{{- '<|bom|><|assistant|> ' if add_generation_prompt }})";

// Of RWKV's "World" models.
constexpr std::string_view kRwkv = R"(
{%- for message in messages %}
{{- ('System' if message.role == 'developer' else message.role | capitalize) + ': ' }}
{{- message.content | default('') | trim + '\n\n' }}
{%- endfor %}
{{- 'Assistant:' if add_generation_prompt }})";

const std::vector<Builtin>& Builtins() {
  static const std::vector<Builtin> kBuiltins = {
      {"plain", kPlain, {"\nUser:", "\nSystem:"}},
      {"chatml", kChatml, {"<|im_end|>"}},
      {"zephyr", kZephyr, {"<|user|>", "<|system|>"}},
      {"llama2", kLlama2, {"[INST]"}},
      {"mistral", kMistral, {"[INST]"}},
      {"jamba", kJamba, {"<|eom|>"}},
      {"rwkv", kRwkv, {"\n\nUser:", "\n\nSystem:"}},
  };
  return kBuiltins;
}

}  // namespace

std::optional<ChatFormatParts> BuiltinChatFormat(std::string_view name,
                                                 const SpecialTokenTexts& special_tokens) {
  for (const Builtin& builtin : Builtins()) {
    if (builtin.name != name) continue;
    const bool system_first = name == "llama2" || name == "mistral";
    auto parsed = jinja::Template::Parse(absl::StrCat(
        View(kRefusals), system_first ? View(kSystemFirst) : "", View(builtin.source)));
    Check(parsed.ok(), "BuiltinChatFormat: a template of ours does not parse");
    ChatFormatParts parts = {std::string(name), *std::move(parsed),   std::nullopt,
                             special_tokens,    builtin.stop_strings, /*adds_bos=*/true};
    return parts;
  }
  return std::nullopt;
}

std::string BuiltinChatFormatNames() {
  std::string names;
  for (const Builtin& builtin : Builtins()) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", View(builtin.name));
  }
  return names;
}

}  // namespace ssmd
