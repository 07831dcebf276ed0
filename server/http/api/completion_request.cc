// See completion_request.h.
#include "server/http/api/completion_request.h"

#include <initializer_list>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"
#include "engine/base/secure_random.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/session/session_errors.h"
#include "server/http/api/json_in.h"
#include "server/http/api/prompt_in.h"

namespace ssmd::server {
namespace {

constexpr int32_t kCompletionTokensDefault = 16;  // as OpenAI has it
constexpr int64_t kLongMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kLongMin = std::numeric_limits<int64_t>::min();
// A seed that a JSON number holds exactly, wherever it is read.
constexpr uint64_t kSeedMask = (uint64_t{1} << 53) - 1;

template <typename Enum>
using Words = std::initializer_list<std::pair<std::string_view, Enum>>;

// A member that is one of some words.
template <typename Enum, typename Set>
void ReadWord(JsonIn* in, std::string_view name, Words<Enum> words, Set set) {
  const auto text = in->Text(name);
  if (!text.has_value()) return;
  std::string allowed;
  for (const auto& [word, value] : words) {
    if (word == *text) {
      set(value);
      return;
    }
    absl::StrAppend(&allowed, allowed.empty() ? "" : " or ", "\"", View(word), "\"");
  }
  in->Refuse(name, allowed);
}

// --- What all of them have ---

void ReadSampling(JsonIn* in, v1::SamplingParams* out) {
  const auto number = [in](std::string_view name, auto set) {
    if (const auto value = in->Number(name)) set(static_cast<float>(*value));
  };
  number("temperature", [out](float value) { out->set_temperature(value); });
  number("top_p", [out](float value) { out->set_top_p(value); });
  number("min_p", [out](float value) { out->set_min_p(value); });
  number("repetition_penalty", [out](float value) { out->set_repetition_penalty(value); });
  number("presence_penalty", [out](float value) { out->set_presence_penalty(value); });
  number("frequency_penalty", [out](float value) { out->set_frequency_penalty(value); });
  if (const auto top_k = in->Int("top_k")) out->set_top_k(*top_k);
  if (const auto seed = in->Long("seed", kLongMin, kLongMax)) {
    out->set_seed(static_cast<uint64_t>(*seed));
  }
  const auto bias = in->Any("logit_bias");
  if (!bias.has_value()) return;
  if (!bias->is_object()) return in->Refuse("logit_bias", "an object of token ids and numbers");
  for (const auto& [key, value] : bias->members()) {
    int32_t id = 0;
    const auto number_of_it = value.AsDouble();
    if (!absl::SimpleAtoi(View(key), &id) || !number_of_it.has_value()) {
      return in->Refuse("logit_bias", "an object of token ids and numbers");
    }
    (*out->mutable_logit_bias())[id] = static_cast<float>(*number_of_it);
  }
}

void ReadStop(JsonIn* in, v1::StopParams* out) {
  if (const auto ids = in->Ids("stop_token_ids")) {
    out->mutable_token_ids()->Add(ids->begin(), ids->end());
  }
  if (const auto ignore = in->Flag("ignore_eos")) out->set_ignore_eos(*ignore);
  const auto stop = in->Any("stop");
  if (!stop.has_value()) return;
  if (const auto text = stop->AsString()) {
    out->add_strings(std::string(*text));
    return;
  }
  for (const JsonValue element : stop->elements()) {
    const auto text = element.AsString();
    if (!text.has_value()) return in->Refuse("stop", "a string or an array of strings");
    out->add_strings(std::string(*text));
  }
  if (!stop->is_array()) in->Refuse("stop", "a string or an array of strings");
}

// The object `ssmd`.
void ReadSession(JsonIn* body, CompletionRequest* out) {
  const auto object = body->Any("ssmd");
  if (!object.has_value()) return;
  JsonIn in(*object, body->NameOf("ssmd."));
  v1::GenerateRequest& turn = out->turn;
  if (auto id = in.Text("session_id")) turn.set_session_id(*std::move(id));
  if (auto id = in.Text("parent_id")) out->parent_id = *std::move(id);
  if (auto id = in.Text("request_id")) turn.set_request_id(*std::move(id));
  if (const auto revision = in.Long("expected_revision", 0, kLongMax)) {
    turn.set_expected_revision(static_cast<uint64_t>(*revision));
  }
  if (const auto priority = in.Int("priority")) turn.set_priority(*priority);
  if (const auto parse = in.Flag("parse_special")) turn.set_parse_special(*parse);
  if (const auto window = in.Int("penalty_window")) {
    turn.mutable_sampling()->set_penalty_window(*window);
  }
  ReadWord<v1::Commit>(&in, "commit",
                       {{"complete", v1::COMMIT_ON_COMPLETE}, {"partial", v1::COMMIT_PARTIAL}},
                       [&turn](v1::Commit commit) { turn.set_commit(commit); });
  ReadWord<v1::Durability>(&in, "durability",
                           {{"process", v1::DURABILITY_PROCESS},
                            {"power", v1::DURABILITY_POWER},
                            {"replicated", v1::DURABILITY_REPLICATED}},
                           [&turn](v1::Durability durability) { turn.set_durability(durability); });
  ReadWord<v1::WhenBusy>(&in, "when_busy",
                         {{"abort", v1::WHEN_BUSY_ABORT}, {"wait", v1::WHEN_BUSY_WAIT}},
                         [&turn](v1::WhenBusy when) { turn.set_when_busy(when); });
  ReadWord<v1::StopParams::History>(
      &in, "stop_history",
      {{"trim", v1::StopParams::HISTORY_TRIM}, {"keep", v1::StopParams::HISTORY_KEEP}},
      [&turn](v1::StopParams::History history) { turn.mutable_stop()->set_history(history); });
  ReadLifetime(&in, &out->lifetime);
  body->Fail(in.Check());
}

void ReadCommon(JsonIn* in, CompletionRequest* out) {
  v1::GenerateRequest& turn = out->turn;
  if (auto model = in->Text("model")) turn.set_model(*std::move(model));
  ReadSampling(in, turn.mutable_sampling());
  if (const auto stream = in->Flag("stream")) out->stream = *stream;
  for (const char* name : {"user", "metadata", "service_tier", "safety_identifier",
                           "prompt_cache_key", "prompt_cache_retention"}) {
    in->Ignore(name);
  }
  ReadSession(in, out);
}

void ReadChoices(JsonIn* in, CompletionRequest* out) {
  ReadStop(in, out->turn.mutable_stop());
  if (const auto n = in->Int("n")) out->turn.set_n(*n);
  const auto keep = in->Flag("store");
  out->keep = keep.value_or(false);
  out->forget = !keep.value_or(true);
  const auto options = in->Any("stream_options");
  if (!options.has_value()) return;
  if (!out->stream) {
    in->Fail(InvalidField("stream_options is for requests with \"stream\": true"));
    return;
  }
  JsonIn of_stream(*options, in->NameOf("stream_options."));
  if (const auto usage = of_stream.Flag("include_usage")) out->include_usage = *usage;
  of_stream.Ignore("include_obfuscation");
  in->Fail(of_stream.Check());
}

// What depends on several members.
absl::StatusOr<CompletionRequest> Finish(const JsonIn& in, CompletionRequest out) {
  SSMD_RETURN_IF_ERROR(in.Check());
  out.forget = out.forget && !out.parent_id.empty();
  if (!out.parent_id.empty()) out.keep = true;
  if (out.keep && !out.turn.session_id().empty()) {
    return InvalidField(out.parent_id.empty()
                            ? "store makes a new session: leave it out with ssmd.session_id"
                            : "ssmd.parent_id and ssmd.session_id exclude each other");
  }
  if (!out.keep && (out.lifetime.has_ttl_seconds() || out.lifetime.has_idle_seconds())) {
    return InvalidField("ssmd.ttl_seconds and ssmd.idle_seconds are for requests with store");
  }
  if (out.keep && (out.turn.has_expected_revision() || !out.turn.request_id().empty())) {
    return InvalidField("ssmd.expected_revision and ssmd.request_id need an ssmd.session_id");
  }
  // A retry must be the same request: there the engine draws.
  if (!out.turn.sampling().has_seed() && out.turn.request_id().empty()) {
    out.turn.mutable_sampling()->set_seed(SecureRandom64() & kSeedMask);
  }
  return out;
}

// --- Names ---

using Names = std::vector<std::pair<std::string_view, std::string_view>>;

Names NamesOfAll() {
  return {{"stop.strings", "stop"},
          {"stop.token_ids", "stop_token_ids"},
          {"session_id", "ssmd.session_id"},
          {"expected_revision", "ssmd.expected_revision"},
          {"request_id", "ssmd.request_id"},
          {"COMMIT_PARTIAL", "ssmd.commit \"partial\""},
          {"priority", "ssmd.priority"},
          {"penalty_window", "ssmd.penalty_window"},
          {"lifetime.ttl_seconds", "ssmd.ttl_seconds"},
          {"lifetime.idle_seconds", "ssmd.idle_seconds"}};
}

bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
}

// --- Prompts ---

void ReadPrompt(JsonIn* in, v1::GenerateRequest* turn) {
  auto prompt = in->Any("prompt");
  if (!prompt.has_value()) return;
  const JsonArray elements = prompt->elements();
  const bool of_prompts = !elements.empty() && (elements[0].is_string() || elements[0].is_array());
  if (of_prompts && elements.size() > 1) {
    return in->Refuse("prompt",
                      "one prompt: ask for several in requests of their own, which "
                      "are computed together");
  }
  if (of_prompts) prompt = elements[0];
  if (const auto text = prompt->AsString()) {
    turn->set_text(std::string(*text));
  } else if (!ReadIds(*prompt, turn->mutable_token_ids())) {
    in->Refuse("prompt", "a string or an array of token ids");
  }
}

// {"type": "text"} alone.
void ReadFormat(JsonIn* in, std::string_view name, JsonValue format) {
  const auto type = format.Find("type");
  if (type.has_value() && type->AsString() == "text") return;
  in->Fail(InvalidField(absl::StrCat(
      in->NameOf(name), " is not supported by this server, but for {\"type\": \"text\"}")));
}

constexpr char kNoTools[] =
    "what a model writes is given as text, and no calls of tools are read from it";

}  // namespace

absl::StatusOr<ParentAnswer> ParseAnswerId(const std::string& id) {
  const size_t revision_at = id.rfind('-');
  const size_t session_at = revision_at == std::string::npos || revision_at == 0
                                ? revision_at
                                : id.find_last_of("-_", revision_at - 1);
  ParentAnswer parent;
  if (session_at != std::string::npos && session_at < revision_at) {
    parent.session_id = id.substr(session_at + 1, revision_at - session_at - 1);
    if (IsSessionId(parent.session_id) &&
        absl::SimpleAtoi(id.substr(revision_at + 1), &parent.revision)) {
      return parent;
    }
  }
  return WithReason(
      absl::NotFoundError("that is not the id of an answer that was stored: ask with store, and "
                          "take the id of the answer"),
      reason::kSessionNotFound);
}

std::string AnswerId(std::string_view prefix, const std::string& session_id, uint64_t revision) {
  return absl::StrCat(View(prefix), session_id, "-", revision);
}

absl::Status Reworded(const absl::Status& status, const CompletionRequest& request) {
  if (ReasonOf(status) != reason::kInvalidField) return status;
  const std::string message(status.message());
  for (const auto& [wire, here] : request.names) {
    if (!absl::StartsWith(message, View(wire))) continue;
    if (wire.size() < message.size() && IsNameCharacter(message[wire.size()])) continue;
    return InvalidField(absl::StrCat(View(here), message.substr(wire.size())));
  }
  return status;
}

absl::StatusOr<CompletionRequest> ParseCompletion(JsonValue body) {
  CompletionRequest out;
  out.names = NamesOfAll();
  for (const char* name : {"text", "token_ids", "the prompt"}) {
    out.names.emplace_back(name, "prompt");
  }
  JsonIn in(body, "");
  ReadCommon(&in, &out);
  ReadChoices(&in, &out);
  ReadPrompt(&in, &out.turn);
  const auto most = in.Int("max_tokens");
  out.turn.set_max_tokens(most.value_or(kCompletionTokensDefault));
  if (const auto echo = in.Flag("echo")) out.turn.set_echo(*echo);
  if (const auto logprobs = in.Int("logprobs")) out.turn.set_logprobs(*logprobs);
  if (const auto suffix = in.Text("suffix"); suffix.has_value() && !suffix->empty()) {
    in.Fail(InvalidField("suffix is not supported by this server: models here read forward"));
  }
  const auto best_of = in.Int("best_of");
  if (best_of.has_value() && *best_of != (out.turn.has_n() ? out.turn.n() : 1)) {
    in.Fail(InvalidField("best_of is not supported by this server, but for the same as n"));
  }
  if (out.turn.prompt_case() == v1::GenerateRequest::PROMPT_NOT_SET &&
      out.turn.session_id().empty() && out.parent_id.empty()) {
    in.Refuse("prompt", "a string or an array of token ids");
  }
  return Finish(in, std::move(out));
}

absl::StatusOr<CompletionRequest> ParseChatCompletion(JsonValue body) {
  CompletionRequest out;
  out.names = NamesOfAll();
  out.names.emplace_back("logprobs", "top_logprobs");
  JsonIn in(body, "");
  ReadCommon(&in, &out);
  ReadChoices(&in, &out);
  v1::ChatMessages messages;
  ReadMessages(&in, "messages", &messages);
  ReadTemplateOptions(&in, &messages);
  if (messages.messages_size() > 0 || out.turn.session_id().empty()) {
    *out.turn.mutable_messages() = std::move(messages);
  }
  const auto most = in.Int("max_tokens");
  const auto most_now = in.Int("max_completion_tokens");
  if (most.has_value()) out.turn.set_max_tokens(*most);
  if (most_now.has_value()) {
    if (most.value_or(0) < 0) in.Refuse("max_tokens", "at least 0");
    out.turn.set_max_tokens(*most_now);
    out.names.emplace_back("max_tokens", "max_completion_tokens");
  }
  const auto top = in.Int("top_logprobs");
  if (in.Flag("logprobs").value_or(false)) {
    out.turn.set_logprobs(top.value_or(0));
  } else if (top.value_or(0) != 0) {
    in.Fail(InvalidField("top_logprobs needs \"logprobs\": true"));
  }
  if (const auto format = in.Any("response_format")) ReadFormat(&in, "response_format", *format);
  const auto modalities = in.Any("modalities");
  if (modalities.has_value() &&
      (modalities->elements().size() != 1 || modalities->elements()[0].AsString() != "text")) {
    in.Refuse("modalities", "[\"text\"]");
  }
  ReadUnsupported(&in, "tools", kNoTools);
  ReadUnsupported(&in, "functions", kNoTools);
  ReadUnsupported(&in, "audio", "it writes text");
  ReadUnsupported(&in, "prediction", "there is nothing that it would speed up");
  ReadUnsupported(&in, "web_search_options", "it reaches no other host");
  for (const char* name :
       {"tool_choice", "function_call", "parallel_tool_calls", "reasoning_effort", "verbosity"}) {
    in.Ignore(name);
  }
  return Finish(in, std::move(out));
}

absl::StatusOr<CompletionRequest> ParseResponse(JsonValue body) {
  CompletionRequest out;
  out.names = NamesOfAll();
  out.names.emplace_back("max_tokens", "max_output_tokens");
  out.names.emplace_back("messages", "input");
  JsonIn in(body, "");
  ReadCommon(&in, &out);
  const auto keep = in.Flag("store");
  out.keep = keep.value_or(out.turn.session_id().empty());
  out.forget = !keep.value_or(true);
  if (auto id = in.Text("previous_response_id")) out.parent_id = *std::move(id);
  v1::ChatMessages* messages = out.turn.mutable_messages();
  if (auto instructions = in.Text("instructions"); instructions.has_value()) {
    if (!out.parent_id.empty()) {
      in.Fail(
          InvalidField("instructions are for the first request: what follows a "
                       "previous_response_id has read them"));
    }
    v1::ChatMessage* message = messages->add_messages();
    message->set_role(v1::CHAT_ROLE_SYSTEM);
    message->set_content(*instructions);
    out.instructions = *std::move(instructions);
  }
  const auto input = in.Any("input");
  if (input.has_value() && input->is_string()) {
    v1::ChatMessage* message = messages->add_messages();
    message->set_role(v1::CHAT_ROLE_USER);
    message->set_content(std::string(*input->AsString()));
  } else {
    ReadMessages(&in, "input", messages);
  }
  ReadTemplateOptions(&in, messages);
  if (const auto most = in.Int("max_output_tokens")) out.turn.set_max_tokens(*most);
  const auto text = in.Any("text");
  if (text.has_value()) {
    JsonIn of_text(*text, "text.");
    if (const auto format = of_text.Any("format")) ReadFormat(&of_text, "format", *format);
    of_text.Ignore("verbosity");
    in.Fail(of_text.Check());
  }
  ReadUnsupported(&in, "tools", kNoTools);
  ReadUnsupported(&in, "background", "keep the stream, or the connection, open");
  ReadUnsupported(&in, "prompt", "give the input itself");
  ReadUnsupported(&in, "conversation", "go on by previous_response_id");
  ReadUnsupported(&in, "include", "an answer has all there is");
  for (const char* name : {"tool_choice", "parallel_tool_calls", "reasoning", "truncation",
                           "max_tool_calls", "top_logprobs", "stream_options"}) {
    in.Ignore(name);
  }
  return Finish(in, std::move(out));
}

}  // namespace ssmd::server
