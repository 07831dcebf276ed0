#include "clients/bench/conversations.h"

#include <fstream>
#include <optional>
#include <utility>

#include "clients/bench/json_reader.h"
#include "clients/ssmctl/text.h"

namespace ssmd::bench {
namespace {

constexpr int kDepthMax = 16;
constexpr std::string_view kSpace = " \t\r\n";

client::Error BadConversations(const std::string& message) {
  return {grpc::StatusCode::INVALID_ARGUMENT, message, "", std::nullopt};
}

enum class Speaker { kNobody, kSystem, kUser, kOther };

std::optional<Speaker> SpeakerOf(std::string_view role) {
  if (role == "system" || role == "developer") return Speaker::kSystem;
  if (role == "user" || role == "human") return Speaker::kUser;
  if (role == "assistant" || role == "gpt" || role == "bot" || role == "tool") {
    return Speaker::kOther;
  }
  return std::nullopt;
}

// Gathers conversations message by message, within the limits. Each function says what is wrong,
// if anything is.
class Gatherer {
 public:
  explicit Gatherer(const ConversationLimits& limits) : limits_(limits) {}

  std::optional<std::string> Say(Speaker speaker, std::string_view text) {
    if (speaker == Speaker::kOther || text.empty()) {
      user_spoke_last_ = user_spoke_last_ && speaker != Speaker::kOther;
      return std::nullopt;
    }
    std::string* to = &open_.system;
    if (speaker == Speaker::kUser) {
      if (!user_spoke_last_) {
        if (open_.user_turns.size() == limits_.turns) {
          return "a conversation of more than " + std::to_string(limits_.turns) + " turns";
        }
        open_.user_turns.emplace_back();
      }
      to = &open_.user_turns.back();
    }
    user_spoke_last_ = speaker == Speaker::kUser;
    if (to->size() + text.size() + 1 > limits_.turn_bytes) {
      return "a turn of more than " + std::to_string(limits_.turn_bytes) + " bytes";
    }
    if (!to->empty()) to->push_back('\n');
    to->append(text);
    return std::nullopt;
  }
  // The user's next words are a turn of their own, whoever spoke before.
  void EndTurn() { user_spoke_last_ = false; }

  std::optional<std::string> EndConversation() {
    EndTurn();
    Conversation ended = std::exchange(open_, Conversation());
    if (ended.user_turns.empty()) return std::nullopt;
    if (all_.size() == limits_.conversations) {
      return "more than " + std::to_string(limits_.conversations) + " conversations";
    }
    all_.push_back(std::move(ended));
    return std::nullopt;
  }

  std::vector<Conversation> Take() { return std::move(all_); }

 private:
  const ConversationLimits limits_;
  std::vector<Conversation> all_;
  Conversation open_;
  bool user_spoke_last_ = false;
};

std::optional<std::string> SayMessage(const rapidjson::Value& message, Gatherer* gatherer) {
  if (const auto text = StringOf(&message)) {
    gatherer->EndTurn();
    return gatherer->Say(Speaker::kUser, *text);
  }
  const auto* role = Member(&message, "role");
  const auto* content = Member(&message, "content");
  if (role == nullptr) role = Member(&message, "from");
  if (content == nullptr) content = Member(&message, "value");
  const auto role_name = StringOf(role);
  if (!role_name.has_value()) return "a message that is neither a string nor has a \"role\"";
  const auto speaker = SpeakerOf(*role_name);
  if (!speaker.has_value()) {
    return "the role '" + std::string(*role_name) + "' is not system, user or assistant";
  }
  // What an assistant said may be null beside calls of tools.
  const auto text = StringOf(content);
  if (!text.has_value() && *speaker != Speaker::kOther) {
    return "a message whose \"content\" is no string";
  }
  return gatherer->Say(*speaker, text.value_or(""));
}

std::optional<std::string> SayConversation(const rapidjson::Value& conversation,
                                           Gatherer* gatherer) {
  const rapidjson::Value* messages = &conversation;
  if (conversation.IsObject()) {
    messages = nullptr;
    for (const char* name : {"messages", "conversations", "conversation", "turns"}) {
      if (messages == nullptr) messages = Member(&conversation, name);
    }
  }
  if (messages == nullptr || !messages->IsArray()) {
    return "a conversation must be an array of turns, or an object with one as its \"messages\"";
  }
  for (const rapidjson::Value& message : messages->GetArray()) {
    if (auto wrong = SayMessage(message, gatherer)) return wrong;
  }
  return gatherer->EndConversation();
}

// One conversation and not a list of them: its elements are its turns.
bool IsOneConversation(const rapidjson::Value& value) {
  if (!value.IsArray() || value.Empty()) return true;
  if (!value[0].IsArray() && !value[0].IsObject()) return true;
  return Member(&value[0], "role") != nullptr || Member(&value[0], "from") != nullptr;
}

std::optional<std::string> GatherJson(std::string_view text, const ConversationLimits& limits,
                                      Gatherer* gatherer) {
  JsonStream values(text, {.bytes = limits.file_bytes, .depth = kDepthMax});
  rapidjson::Document value;
  for (size_t number = 1; values.Next(&value); ++number) {
    std::optional<std::string> wrong;
    if (IsOneConversation(value)) {
      wrong = SayConversation(value, gatherer);
    } else {
      for (const rapidjson::Value& conversation : value.GetArray()) {
        if (!wrong.has_value()) wrong = SayConversation(conversation, gatherer);
      }
    }
    if (wrong.has_value()) return "value " + std::to_string(number) + ": " + *wrong;
  }
  if (!values.error().empty()) return values.error();
  return std::nullopt;
}

// The speaker whom a line of a dialogue names, if any, and what is left of the line.
Speaker TakeSpeaker(std::string_view* line) {
  for (const auto& [label, speaker] : {std::pair{"User:", Speaker::kUser},
                                       {"Assistant:", Speaker::kOther},
                                       {"System:", Speaker::kSystem}}) {
    const std::string_view name = label;
    if (line->substr(0, name.size()) != name) continue;
    line->remove_prefix(name.size());
    line->remove_prefix(std::min(line->find_first_not_of(kSpace), line->size()));
    return speaker;
  }
  return Speaker::kNobody;
}

std::optional<std::string> GatherText(std::string_view text, Gatherer* gatherer) {
  if (const auto invalid = ctl::FirstInvalidUtf8(text)) {
    return "byte " + std::to_string(*invalid) + ": not UTF-8";
  }
  Speaker speaker = Speaker::kNobody;
  for (size_t number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    while (!line.empty() && kSpace.find(line.back()) != kSpace.npos) line.remove_suffix(1);
    std::optional<std::string> wrong;
    if (line.empty()) {
      wrong = gatherer->EndConversation();
      speaker = Speaker::kNobody;
    } else {
      const Speaker named = TakeSpeaker(&line);
      if (named != Speaker::kNobody) speaker = named;
      wrong = speaker != Speaker::kNobody
                  ? gatherer->Say(speaker, line)
                  : "a conversation must begin with \"User:\", or the file must be JSON";
    }
    if (wrong.has_value()) return "line " + std::to_string(number) + ": " + *wrong;
  }
  return gatherer->EndConversation();
}

}  // namespace

client::Result<std::vector<Conversation>> ParseConversations(std::string_view text,
                                                             const ConversationLimits& limits) {
  if (text.size() > limits.file_bytes) {
    return BadConversations("longer than " + std::to_string(limits.file_bytes) + " bytes");
  }
  Gatherer gatherer(limits);
  const size_t first = text.find_first_not_of(kSpace);
  const bool json = first != std::string_view::npos && (text[first] == '[' || text[first] == '{');
  const auto wrong = json ? GatherJson(text, limits, &gatherer) : GatherText(text, &gatherer);
  if (wrong.has_value()) return BadConversations(*wrong);
  std::vector<Conversation> conversations = gatherer.Take();
  if (conversations.empty()) return BadConversations("holds no turn of a user");
  return conversations;
}

client::Result<std::vector<Conversation>> ReadConversations(const std::string& path,
                                                            const ConversationLimits& limits) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return BadConversations("cannot read " + path);
  std::string text;
  std::string block(size_t{1} << 16, '\0');
  // A little more than the limit, for it to be seen as passed.
  while (file && text.size() <= limits.file_bytes) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    text.append(block, 0, static_cast<size_t>(file.gcount()));
  }
  if (file.bad()) return BadConversations("cannot read " + path);
  auto conversations = ParseConversations(text, limits);
  if (!conversations.ok()) return BadConversations(path + ": " + conversations.error().message);
  return conversations;
}

}  // namespace ssmd::bench
