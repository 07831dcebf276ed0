#include "engine/text/chat_format.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/text/chat_values.h"
#include "engine/text/jinja/strings.h"

namespace ssmd {
namespace {

using jinja::Origin;
using jinja::Text;
using jinja::Value;

// Origins: message i is i + 1, up to this; then what is ours, and what comes with the messages.
constexpr Origin kMaxMessages = 1 << 20;
constexpr Origin kQuestion = kMaxMessages + 1;
constexpr Origin kAnswer = kMaxMessages + 2;
constexpr Origin kContinueHere = kMaxMessages + 3;
constexpr Origin kTools = kMaxMessages + 4;
constexpr Origin kTemplateArguments = kMaxMessages + 5;

constexpr char kQuestionText[] = "Hello";
constexpr char kAnswerText[] = "Answer0123456789";
// As transformers does it, with its space at the end: whether the space is still there says whether
// the template has trimmed the message.
constexpr char kContinueHereText[] = "CONTINUE_FINAL_MESSAGE_TAG ";

// What templates say, and what is wrong with them, is for the caller to know.
absl::Status Refusal(const absl::Status& status) {
  return absl::InvalidArgumentError(absl::StrCat(absl::IsFailedPrecondition(status)
                                                     ? "the chat template refuses this chat: "
                                                     : "the chat template cannot render this: ",
                                                 status.message()));
}

absl::StatusOr<std::vector<Value>> MessageValues(const ChatPrompt& prompt) {
  if (prompt.messages.empty()) return absl::InvalidArgumentError("there is no message");
  if (prompt.messages.size() > kMaxMessages) {
    return absl::InvalidArgumentError(absl::StrCat("more than ", kMaxMessages, " messages"));
  }
  if (prompt.continue_final_message && !prompt.messages.back().content.has_value()) {
    return absl::InvalidArgumentError("the last message has no content to go on with");
  }
  std::vector<Value> values;
  for (size_t i = 0; i < prompt.messages.size(); ++i) {
    const bool open = prompt.continue_final_message && i + 1 == prompt.messages.size();
    auto value = ChatMessageValue(prompt.messages[i], static_cast<Origin>(i + 1),
                                  open ? Text(kContinueHereText, kContinueHere) : Text());
    if (!value.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("messages[", i, "]: ", value.status().message()));
    }
    values.push_back(*std::move(value));
  }
  return values;
}

absl::StatusOr<Text> CutInFinalMessage(const Text& text) {
  const auto runs = text.runs();
  const auto last = std::find_if(runs.rbegin(), runs.rend(),
                                 [](const Text::Run& run) { return run.origin == kContinueHere; });
  if (last == runs.rend()) {
    return absl::InvalidArgumentError(
        "the chat template does not show the last message as it is: it cannot be gone on with");
  }
  const Text before = text.Slice(0, last->begin);
  const bool spaced =
      text.bytes().compare(last->begin, sizeof(kContinueHereText) - 1, kContinueHereText) == 0;
  return spaced ? before : jinja::Strip(before, jinja::Side::kRight, std::nullopt);
}

// Where the answer of ours ends, which is there once and whole.
absl::StatusOr<size_t> EndOfAnswer(const Text& text) {
  size_t end = 0;
  for (const Text::Run& run : text.runs()) {
    if (run.origin != kAnswer) continue;
    const auto answer = std::string_view(text.bytes()).substr(run.begin, run.end - run.begin);
    if (end != 0 || answer != kAnswerText) {
      return absl::InvalidArgumentError(
          "the chat template does not leave earlier answers as they are: a session cannot go on "
          "with new messages alone");
    }
    end = run.end;
  }
  if (end == 0) {
    return absl::InvalidArgumentError(
        "the chat template leaves earlier answers out: a session cannot go on with new messages "
        "alone");
  }
  return end;
}

}  // namespace

ChatFormat::ChatFormat(ChatFormatParts parts, const Tokenizer* tokenizer)
    : parts_(std::move(parts)), tokenizer_(tokenizer) {
  const auto stop_at = [&](const std::string& token) {
    const auto id = tokenizer_->TokenId(token);
    if (id.has_value()) stop_token_ids_.push_back(*id);
    return id.has_value();
  };
  for (const auto& [name, text] : parts_.special_tokens) {
    if (name == "eos_token") stop_at(text);
  }
  std::erase_if(parts_.stop_strings, stop_at);

  std::vector<std::string> literals = parts_.main.literals();
  if (parts_.with_tools.has_value()) {
    const auto& more = parts_.with_tools->literals();
    literals.insert(literals.end(), more.begin(), more.end());
  }
  for (const AddedTokenText& token : tokenizer_->added_tokens()) {
    const auto writes = [&](const std::string& literal) {
      return literal.find(token.text) != std::string::npos;
    };
    if (std::any_of(literals.begin(), literals.end(), writes)) written_tokens_.insert(token.id);
  }
}

absl::StatusOr<Text> ChatFormat::RenderMessages(const ChatPrompt& prompt,
                                                std::vector<Value> messages,
                                                std::time_t now) const {
  jinja::Variables variables;
  for (const auto& [name, text] : parts_.special_tokens) {
    variables.emplace_back(name, Value::String(text));
  }
  if (!prompt.template_arguments.empty()) {
    SSMD_ASSIGN_OR_RETURN(
        const Value arguments,
        ChatJsonObject(prompt.template_arguments, "template_arguments", kTemplateArguments));
    for (const auto& [name, value] : arguments.dict().members) {
      variables.emplace_back(name.text().bytes(), value);
    }
  }
  // Behind the arguments: those must not stand in for these.
  SSMD_ASSIGN_OR_RETURN(Value list, jinja::MakeSequence(std::move(messages)));
  variables.emplace_back("messages", std::move(list));
  Value tools = Value::None();
  if (!prompt.tools.empty()) {
    SSMD_ASSIGN_OR_RETURN(tools, ChatJsonArray(prompt.tools, "tools", kTools));
  }
  const bool has_tools = tools.Truth();
  variables.emplace_back("tools", std::move(tools));
  variables.emplace_back("documents", Value::None());
  const bool asks = prompt.add_generation_prompt && !prompt.continue_final_message;
  variables.emplace_back("add_generation_prompt", Value::Bool(asks));

  std::tm local = {};
  localtime_r(&now, &local);
  const jinja::Template& used =
      has_tools && parts_.with_tools.has_value() ? *parts_.with_tools : parts_.main;
  auto text = used.Render(variables, local);
  if (!text.ok()) return Refusal(text.status());
  return text;
}

absl::StatusOr<Text> ChatFormat::Render(const ChatPrompt& prompt, std::time_t now) const {
  SSMD_ASSIGN_OR_RETURN(std::vector<Value> messages, MessageValues(prompt));
  SSMD_ASSIGN_OR_RETURN(Text text, RenderMessages(prompt, std::move(messages), now));
  if (prompt.continue_final_message) return CutInFinalMessage(text);
  return text;
}

absl::StatusOr<Text> ChatFormat::RenderBehindAnswer(const ChatPrompt& prompt,
                                                    std::time_t now) const {
  SSMD_ASSIGN_OR_RETURN(std::vector<Value> added, MessageValues(prompt));
  ChatMessage question;
  question.role = "user";
  question.content = kQuestionText;
  ChatMessage answer;
  answer.role = "assistant";
  answer.content = kAnswerText;
  std::vector<Value> messages(2);
  SSMD_ASSIGN_OR_RETURN(messages[0], ChatMessageValue(question, kQuestion));
  SSMD_ASSIGN_OR_RETURN(messages[1], ChatMessageValue(answer, kAnswer));
  messages.insert(messages.end(), added.begin(), added.end());
  SSMD_ASSIGN_OR_RETURN(Text text, RenderMessages(prompt, std::move(messages), now));
  if (prompt.continue_final_message) {
    SSMD_ASSIGN_OR_RETURN(text, CutInFinalMessage(text));
  }
  SSMD_ASSIGN_OR_RETURN(const size_t end, EndOfAnswer(text));
  for (const Text::Run& run : text.runs()) {
    if (run.begin >= end || run.origin > kMaxMessages) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("messages[", run.origin - 1,
                     "]: the chat template puts it before earlier answers, which a session has "
                     "read already"));
  }
  return text.Slice(end, text.size());
}

absl::StatusOr<std::vector<int32_t>> ChatFormat::Encode(const Text& text) const {
  std::vector<ByteSpan> callers;
  for (const Text::Run& run : text.runs()) callers.push_back({run.begin, run.end});
  EncodeOptions options;
  options.parse_special = true;
  options.unparsed = callers;
  options.also_special = &written_tokens_;
  return tokenizer_->Encode(text.bytes(), options);
}

absl::StatusOr<std::vector<int32_t>> ChatFormat::Tokens(const ChatPrompt& prompt,
                                                        std::time_t now) const {
  SSMD_ASSIGN_OR_RETURN(const Text text, Render(prompt, now));
  return Encode(text);
}

absl::StatusOr<std::vector<int32_t>> ChatFormat::TokensBehindAnswer(const ChatPrompt& prompt,
                                                                    std::time_t now) const {
  SSMD_ASSIGN_OR_RETURN(const Text text, RenderBehindAnswer(prompt, now));
  return Encode(text);
}

}  // namespace ssmd
