// The flags of commands that read a text, or token ids, once.
#ifndef SSMD_CLIENTS_SSMCTL_PROMPT_FLAGS_H_
#define SSMD_CLIENTS_SSMCTL_PROMPT_FLAGS_H_

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "clients/ssmctl/input.h"
#include "clients/ssmctl/text.h"

namespace ssmd::ctl {

struct PromptFlags {
  std::string model;
  std::optional<std::string> text;
  std::string tokens;
  bool parse_special = false;

  // `flags` lives as long as the command.
  static void Add(CLI::App* command, PromptFlags* flags) {
    command->add_option("-m,--model", flags->model, "Name of the model");
    auto* text = command->add_option_function<std::string>(
        "--text,--prompt,text", [flags](const std::string& value) { flags->text = value; },
        "The text; - or a pipe: standard input");
    command->add_option("--tokens", flags->tokens, "Token ids: 1,2,3")->excludes(text);
    command->add_flag("--parse-special", flags->parse_special,
                      "Recognise special tokens written out in the text");
  }

  // Into a ScoreRequest or the like. What is wrong, or nothing; `to_be`: "scored".
  template <typename Request>
  std::optional<std::string> Fill(std::string_view to_be, Request* request) {
    request->set_model(model);
    if (parse_special) request->set_parse_special(true);
    if (!tokens.empty()) {
      const auto ids = ParseTokenIds(tokens);
      if (!ids) return "--tokens takes token ids like 1,2,3, got '" + tokens + "'";
      request->mutable_token_ids()->mutable_ids()->Add(ids->begin(), ids->end());
      return std::nullopt;
    }
    if (auto problem = ResolveText("--text", &text)) return problem;
    if (!text) {
      return "there is nothing to be " + std::string(to_be) +
             ": give --text TEXT, --tokens 1,2,3 or a pipe";
    }
    request->set_text(*text);
    return std::nullopt;
  }
};

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_PROMPT_FLAGS_H_
