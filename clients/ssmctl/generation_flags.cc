#include "clients/ssmctl/generation_flags.h"

#include <charconv>

#include "clients/ssmctl/text.h"

namespace ssmd::ctl {
namespace {

template <typename Number>
bool ParseWhole(std::string_view text, Number* value) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, *value);
  return result.ec == std::errc() && result.ptr == end;
}

std::optional<std::string> ApplyBias(const std::vector<std::string>& entries,
                                     v1::SamplingParams* sampling) {
  for (const std::string& entry : entries) {
    const size_t equals = entry.find('=');
    int32_t id = 0;
    float value = 0;
    const bool valid = equals != std::string::npos &&
                       ParseWhole(std::string_view(entry).substr(0, equals), &id) &&
                       ParseWhole(std::string_view(entry).substr(equals + 1), &value);
    if (!valid) return "--logit-bias takes ID=VALUE, for example 50256=-100, got '" + entry + "'";
    (*sampling->mutable_logit_bias())[id] = value;
  }
  return std::nullopt;
}

// The classes are signs on the wire.
std::optional<std::string> ApplyPriority(const std::string& text, v1::GenerateRequest* request) {
  int32_t value = 0;
  if (text == "low") {
    value = -1;
  } else if (text == "high") {
    value = 1;
  } else if (!text.empty() && text != "normal" && !ParseWhole(text, &value)) {
    return "--priority is low, normal or high, got '" + text + "'";
  }
  if (!text.empty()) request->set_priority(value);
  return std::nullopt;
}

}  // namespace

CLI::Validator Unsigned64() {
  const auto check = [](const std::string& text) -> std::string {
    uint64_t value = 0;
    if (ParseWhole(text, &value)) return "";
    return "'" + text + "' is not a whole number in [0, 18446744073709551615]";
  };
  return CLI::Validator(check, "UINT64");
}

void GenerationFlags::AddTo(CLI::App* command) {
  command->add_option("-m,--model", model, "Name of the model; not needed where one is served");
  command->add_option("--max-tokens", max_tokens, "Most tokens to sample [256]");

  const std::string sampling = "Sampling";
  const auto add = [&](const std::string& name, auto& value, const std::string& help) {
    command->add_option(name, value, help)->group(sampling);
  };
  add("--temperature", temperature, "0: always the most likely token [1]");
  add("--top-k", top_k, "Only the K most likely tokens; 0: all [0]");
  add("--top-p", top_p, "Only the most likely tokens that add up to this probability [1]");
  add("--min-p", min_p, "Only tokens at least this fraction as likely as the likeliest [0]");
  add("--repetition-penalty", repetition_penalty, "Above 1: repeat less [1]");
  add("--presence-penalty", presence_penalty, "Subtracted from logits of tokens said before [0]");
  add("--frequency-penalty", frequency_penalty, "The same, for each time they were said [0]");
  add("--penalty-window", penalty_window, "How many of the latest tokens penalties look at [256]");
  AddRepeatable(command, "--logit-bias", logit_bias,
                "ID=VALUE, added to a token's logit; repeatable")
      ->group(sampling);
  command->add_option("--seed", seed, "The same seed draws the same tokens [random, reported]")
      ->check(Unsigned64())
      ->group(sampling);

  const std::string stopping = "Stopping";
  AddRepeatable(command, "--stop", stop, "Stop before this text; repeatable")->group(stopping);
  AddRepeatable(command, "--stop-token", stop_tokens, "Stop at this token id; repeatable")
      ->group(stopping);
  command
      ->add_option("--stop-history", stop_history,
                   "What a session keeps when a stop text matched: trim (up to it) or keep [trim]")
      ->check(CLI::IsMember({"trim", "keep"}))
      ->group(stopping);
  command->add_flag("--ignore-eos", ignore_eos, "Go on past the model's end-of-text token")
      ->group(stopping);
  command->add_option("--priority", priority,
                      "Who starts first among those that wait: low, normal or high [normal]");
}

std::optional<std::string> GenerationFlags::Apply(v1::GenerateRequest* request) const {
  for (const std::string& text : stop) {
    if (FirstInvalidUtf8(text).has_value()) return "--stop is not UTF-8";
  }
  request->set_model(model);
  if (max_tokens) request->set_max_tokens(*max_tokens);
  if (auto problem = ApplyPriority(priority, request)) return problem;

  v1::SamplingParams* sampling = request->mutable_sampling();
  if (temperature) sampling->set_temperature(*temperature);
  if (top_k) sampling->set_top_k(*top_k);
  if (top_p) sampling->set_top_p(*top_p);
  if (min_p) sampling->set_min_p(*min_p);
  if (repetition_penalty) sampling->set_repetition_penalty(*repetition_penalty);
  if (presence_penalty) sampling->set_presence_penalty(*presence_penalty);
  if (frequency_penalty) sampling->set_frequency_penalty(*frequency_penalty);
  if (penalty_window) sampling->set_penalty_window(*penalty_window);
  if (seed) sampling->set_seed(*seed);
  if (auto problem = ApplyBias(logit_bias, sampling)) return problem;

  v1::StopParams* stops = request->mutable_stop();
  for (const std::string& text : stop) stops->add_strings(text);
  for (const int32_t id : stop_tokens) stops->add_token_ids(id);
  if (ignore_eos) stops->set_ignore_eos(true);
  if (stop_history == "trim") stops->set_history(v1::StopParams::HISTORY_TRIM);
  if (stop_history == "keep") stops->set_history(v1::StopParams::HISTORY_KEEP);
  return std::nullopt;
}

}  // namespace ssmd::ctl
