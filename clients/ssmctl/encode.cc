// `ssmctl encode`: a text as one vector.
#include <memory>
#include <string>

#include "absl/strings/str_format.h"
#include "clients/ssmctl/commands.h"
#include "clients/ssmctl/json_writer.h"
#include "clients/ssmctl/prompt_flags.h"
#include "ssmd/v1/generation.pb.h"

namespace ssmd::ctl {
namespace {

constexpr const char* kEncodeExamples = R"(Examples:
  ssmctl encode --text "The cat sat on the mat."           # a number a line
  ssmctl encode --pooling last --normalize --json < page.txt
The vector is the model's last hidden values, behind its final norm, pooled over all tokens; it has
d_model numbers. With --normalize the dot product of two is their cosine.)";

struct EncodeOptions {
  PromptFlags prompt;
  std::string pooling = "mean";
  bool normalize = false;
};

void PrintJson(const Context& context, const v1::EncodeResponse& response) {
  JsonWriter writer;
  writer.BeginObject().Key("values").BeginArray();
  for (const float value : response.values()) writer.Float(value);
  writer.EndArray();
  writer.Key("tokens").Int(response.tokens());
  writer.Key("numerics_profile").String(response.numerics_profile());
  context.PrintJson(writer.EndObject());
}

int Run(Context& context, EncodeOptions& options) {
  v1::EncodeRequest request;
  request.set_pooling(options.pooling == "mean"   ? v1::POOLING_MEAN
                      : options.pooling == "last" ? v1::POOLING_LAST
                                                  : v1::POOLING_MAX);
  request.set_normalize(options.normalize);
  if (auto problem = options.prompt.Fill("encoded", &request)) return context.FailUsage(*problem);
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  const auto response = client->Encode(request, context.CallOptions());
  if (!response.ok()) return context.Fail(response.error());
  if (context.json) {
    PrintJson(context, response.value());
    return kOk;
  }
  for (const float value : response.value().values()) {
    context.PrintLine(absl::StrFormat("%.9g", value));
  }
  return kOk;
}

}  // namespace

void AddEncodeCommand(CLI::App& app, Context& context) {
  const auto options = std::make_shared<EncodeOptions>();
  CLI::App* command = app.add_subcommand("encode", "A text as one vector, to classify or compare");
  command->footer(kEncodeExamples);
  PromptFlags::Add(command, &options->prompt);
  command
      ->add_option("--pooling", options->pooling,
                   "How the tokens' vectors become one: mean, last or max [mean]")
      ->check(CLI::IsMember({"mean", "last", "max"}));
  command->add_flag("--normalize", options->normalize, "Scale the vector to a length of 1");
  command->callback([&context, options] { context.exit_code = Run(context, *options); });
}

}  // namespace ssmd::ctl
