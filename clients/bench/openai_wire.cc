#include "clients/bench/openai_wire.h"

#include <algorithm>

#include "clients/bench/json_reader.h"
#include "clients/ssmctl/json_writer.h"
#include "clients/ssmctl/text.h"

namespace ssmd::bench {
namespace {

constexpr size_t kShownBytesMax = 300;
constexpr size_t kIdBytesMax = 128;

client::Error Malformed(const std::string& message) {
  return {grpc::StatusCode::INVALID_ARGUMENT, message, "", std::nullopt};
}

// An id that may stand in a path and in JSON as it is.
bool IsPlainId(std::string_view id) {
  constexpr std::string_view kPlain =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
  return id.size() <= kIdBytesMax && id.find_first_not_of(kPlain) == std::string_view::npos;
}

// "code", where it is a word or a number, or "type".
std::string ErrorCode(const rapidjson::Value* error) {
  if (const auto number = IntOf(Member(error, "code"))) return "HTTP_" + std::to_string(*number);
  for (const char* name : {"code", "type"}) {
    const auto word = StringOf(Member(error, name));
    if (word.has_value() && !word->empty() && IsPlainId(*word)) return std::string(*word);
  }
  return "ERROR";
}

std::string ErrorText(const rapidjson::Value* error) {
  if (const auto text = StringOf(error)) return std::string(*text);
  return std::string(StringOf(Member(error, "message")).value_or("no message"));
}

void ReadChoice(const rapidjson::Value& choice, OpenAiChunk* chunk) {
  const auto* delta = Member(&choice, "delta");
  for (const auto* text :
       {Member(&choice, "text"), Member(delta, "reasoning_content"), Member(delta, "content")}) {
    chunk->text += StringOf(text).value_or("");
  }
  chunk->finished = StringOf(Member(&choice, "finish_reason")).has_value();
}

}  // namespace

std::string OpenAiRequest(const AskOptions& ask, const PlannedTurn& turn, const std::string& prompt,
                          const std::vector<WireMessage>& messages, const WireState& state) {
  ctl::JsonWriter json;
  json.BeginObject();
  if (!ask.model.empty()) json.Key("model").String(ask.model);
  if (ask.chat) {
    json.Key("messages").BeginArray();
    for (const WireMessage& message : messages) {
      json.BeginObject().Key("role").String(message.role);
      json.Key("content").String(message.content).EndObject();
    }
    json.EndArray();
  } else if (!turn.token_ids.empty()) {
    json.Key("prompt").Ids(turn.token_ids);
  } else {
    json.Key("prompt").String(prompt);
  }
  json.Key("max_tokens").Int(turn.max_tokens);
  json.Key("temperature").Float(ask.temperature);
  json.Key("seed").Unsigned(turn.seed);
  if (ask.ignore_eos) json.Key("ignore_eos").Bool(true);
  json.Key("stream").Bool(true);
  json.Key("stream_options").BeginObject().Key("include_usage").Bool(true).EndObject();
  if (state.store) json.Key("store").Bool(true);
  if (!state.session_id.empty() || !state.parent_id.empty()) {
    json.Key("ssmd").BeginObject();
    if (!state.session_id.empty()) json.Key("session_id").String(state.session_id);
    if (!state.parent_id.empty()) json.Key("parent_id").String(state.parent_id);
    json.EndObject();
  }
  json.EndObject();
  return json.Take();
}

client::Result<OpenAiChunk> ParseOpenAiChunk(std::string_view data) {
  rapidjson::Document document;
  std::string error;
  if (!ParseJson(data, JsonBounds(), &document, &error)) return Malformed(error);
  OpenAiChunk chunk;
  if (const auto* failure = Member(&document, "error"); failure != nullptr && !failure->IsNull()) {
    chunk.error = ErrorCode(failure);
    chunk.error_message = ErrorText(failure);
    return chunk;
  }
  const auto* choices = Member(&document, "choices");
  const auto* usage = Member(&document, "usage");
  if ((choices == nullptr || !choices->IsArray()) && usage == nullptr) {
    return Malformed("an event without choices, usage or error");
  }
  if (choices != nullptr && choices->IsArray() && !choices->Empty()) {
    ReadChoice((*choices)[0], &chunk);
  }
  chunk.prompt_tokens = IntOf(Member(usage, "prompt_tokens"));
  chunk.completion_tokens = IntOf(Member(usage, "completion_tokens"));
  chunk.id = StringOf(Member(&document, "id")).value_or("");
  chunk.session_id = StringOf(Member(Member(&document, "ssmd"), "session_id")).value_or("");
  if (!IsPlainId(chunk.session_id)) return Malformed("a session's id that is none");
  return chunk;
}

std::string OpenAiErrorMessage(std::string_view body) {
  rapidjson::Document document;
  std::string error;
  if (ParseJson(body, JsonBounds(), &document, &error)) {
    const auto* failure = Member(&document, "error");
    if (failure != nullptr) return ErrorText(failure).substr(0, kShownBytesMax);
  }
  return ctl::LossyUtf8(body.substr(0, kShownBytesMax));
}

client::Result<OpenAiModels> ParseOpenAiModels(std::string_view body) {
  rapidjson::Document document;
  std::string error;
  if (!ParseJson(body, JsonBounds(), &document, &error)) return Malformed(error);
  const auto* data = Member(&document, "data");
  if (data == nullptr || !data->IsArray()) return Malformed("no list of models");
  OpenAiModels models;
  for (const rapidjson::Value& model : data->GetArray()) {
    const auto name = StringOf(Member(&model, "id"));
    if (!name.has_value()) return Malformed("a model without an id");
    models.names.emplace_back(*name);
    models.ssmd |= StringOf(Member(&model, "owned_by")) == "ssmd";
  }
  return models;
}

}  // namespace ssmd::bench
