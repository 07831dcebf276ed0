// How a model's chats become text: its own template, or one of the formats that are built in.
//
// On a session only what is new is rendered. A history ends right behind an answer as it was
// sampled (its stop tokens are not in it), so what a turn adds is what follows the answer's last
// byte where the format writes a question, an answer and then the new messages. The answer there is
// one of ours, and must come through untouched, or the turn is refused.
//
// Immutable and thread-safe.
#ifndef SSMD_ENGINE_TEXT_CHAT_FORMAT_H_
#define SSMD_ENGINE_TEXT_CHAT_FORMAT_H_

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "engine/text/chat_message.h"
#include "engine/text/jinja/template.h"
#include "engine/text/tokenizer.h"

namespace ssmd {

// Variables of templates that name special tokens: {"bos_token", "<s>"}.
using SpecialTokenTexts = std::vector<std::pair<std::string, std::string>>;

struct ChatFormatParts {
  std::string name;                           // "template", "chatml", …: what operators see
  jinja::Template main;                       // REQUIRES: parsed
  std::optional<jinja::Template> with_tools;  // where a model has one of its own for tools
  SpecialTokenTexts special_tokens;
  std::vector<std::string> stop_strings;
  // A template writes its own BOS; before a built-in format goes the one that the tokenizer adds.
  bool adds_bos = false;
};

class ChatFormat {
 public:
  // `tokenizer` is the model's and outlives the format.
  ChatFormat(ChatFormatParts parts, const Tokenizer* tokenizer);

  const std::string& name() const { return parts_.name; }
  bool adds_bos() const { return parts_.adds_bos; }
  const std::vector<std::string>& stop_strings() const { return parts_.stop_strings; }
  // Beside the model's EOS: the tokenizer's, and stop strings that are tokens.
  const std::vector<int32_t>& stop_token_ids() const { return stop_token_ids_; }

  // Token ids of a whole chat, and of what a chat adds to a history that ends with an answer. The
  // template's special tokens are recognised, but not where callers write them out.
  // INVALID_ARGUMENT says what the template refuses, in its own words where it has some, or which
  // limit was passed.
  absl::StatusOr<std::vector<int32_t>> Tokens(const ChatPrompt& prompt, std::time_t now) const;
  absl::StatusOr<std::vector<int32_t>> TokensBehindAnswer(const ChatPrompt& prompt,
                                                          std::time_t now) const;
  // The same as text.
  absl::StatusOr<jinja::Text> Render(const ChatPrompt& prompt, std::time_t now) const;
  absl::StatusOr<jinja::Text> RenderBehindAnswer(const ChatPrompt& prompt, std::time_t now) const;

 private:
  absl::StatusOr<jinja::Text> RenderMessages(const ChatPrompt& prompt,
                                             std::vector<jinja::Value> messages,
                                             std::time_t now) const;
  absl::StatusOr<std::vector<int32_t>> Encode(const jinja::Text& text) const;

  ChatFormatParts parts_;
  const Tokenizer* tokenizer_;
  std::vector<int32_t> stop_token_ids_;
  // Added tokens that the templates write, though they are not marked as special.
  absl::flat_hash_set<int32_t> written_tokens_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_CHAT_FORMAT_H_
