// `ssmctl tokenize` and `ssmctl detokenize`: between text and token ids.
#include <memory>

#include "clients/ssmctl/commands.h"
#include "clients/ssmctl/input.h"
#include "clients/ssmctl/text.h"

namespace ssmd::ctl {
namespace {

struct TokenizeOptions {
  std::string model;
  std::optional<std::string> text;
  bool parse_special = false;
};

int RunTokenize(Context& context, TokenizeOptions& options) {
  if (auto problem = ResolveText("--text", &options.text)) return context.FailUsage(*problem);
  if (!options.text) return context.FailUsage("nothing to tokenize: give --text TEXT or a pipe");
  v1::TokenizeRequest request;
  request.set_model(options.model);
  request.set_text(*options.text);
  if (options.parse_special) request.set_parse_special(true);

  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  const auto response = client->Tokenize(request, context.CallOptions());
  if (!response.ok()) return context.Fail(response.error());
  if (context.json) {
    JsonWriter writer;
    writer.BeginObject().Key("token_ids").Ids(response.value().token_ids()).EndObject();
    context.PrintJson(writer);
    return kOk;
  }
  std::string line;
  for (const int32_t id : response.value().token_ids()) {
    line += (line.empty() ? "" : ",") + std::to_string(id);
  }
  context.PrintLine(line);
  return kOk;
}

struct DetokenizeOptions {
  std::string model;
  std::string tokens;
};

int RunDetokenize(Context& context, const DetokenizeOptions& options) {
  const auto ids = ParseTokenIds(options.tokens);
  if (!ids) {
    return context.FailUsage("--tokens takes token ids like 1,2,3, got '" + options.tokens + "'");
  }
  v1::DetokenizeRequest request;
  request.set_model(options.model);
  for (const int32_t id : *ids) request.add_token_ids(id);

  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  const auto response = client->Detokenize(request, context.CallOptions());
  if (!response.ok()) return context.Fail(response.error());
  if (context.json) {
    JsonWriter writer;
    writer.BeginObject().Key("text").String(response.value().text()).EndObject();
    context.PrintJson(writer);
    return kOk;
  }
  context.PrintLine(response.value().text());
  return kOk;
}

}  // namespace

void AddTokenizeCommand(CLI::App& app, Context& context) {
  const auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command = app.add_subcommand("tokenize", "Text to token ids");
  command->footer(
      "Examples:\n  ssmctl tokenize --text \"Hello\"\n  ssmctl tokenize --json < story.txt");
  command->add_option("-m,--model", options->model, "Name of the model");
  command->add_option_function<std::string>(
      "--text", [options](const std::string& value) { options->text = value; },
      "The text; - or a pipe: standard input");
  command->add_flag("--parse-special", options->parse_special,
                    "Recognise special tokens written out in the text");
  command->callback([&context, options] { context.exit_code = RunTokenize(context, *options); });
}

void AddDetokenizeCommand(CLI::App& app, Context& context) {
  const auto options = std::make_shared<DetokenizeOptions>();
  CLI::App* command = app.add_subcommand("detokenize", "Token ids to text");
  command->footer("Example:\n  ssmctl detokenize --tokens 12,7,301");
  command->add_option("-m,--model", options->model, "Name of the model");
  command->add_option("--tokens", options->tokens, "Token ids: 1,2,3")->required();
  command->callback([&context, options] { context.exit_code = RunDetokenize(context, *options); });
}

}  // namespace ssmd::ctl
