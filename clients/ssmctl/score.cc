// `ssmctl score`: log-probabilities of given tokens, each given all before it.
#include <cmath>
#include <memory>

#include "absl/strings/str_format.h"
#include "clients/ssmctl/commands.h"
#include "clients/ssmctl/generation_result.h"
#include "clients/ssmctl/prompt_flags.h"
#include "clients/ssmctl/text.h"

namespace ssmd::ctl {
namespace {

constexpr const char* kScoreExamples = R"(Examples:
  ssmctl score --text "The cat sat on the mat."
  ssmctl score --tokens 1,2,3 --json             # {"logprobs": [of 2, of 3], …}
  ssmctl score --json --top 5 < held-out.txt)";

struct ScoreOptions {
  PromptFlags prompt;
  std::optional<int32_t> top;
};

double SumOf(const v1::ScoreResponse& response) {
  double sum = 0;
  for (const auto& detail : response.logprobs()) sum += detail.token().logprob();
  return sum;
}

void PrintJson(const Context& context, const v1::ScoreResponse& response, bool with_top) {
  const double sum = SumOf(response);
  JsonWriter writer;
  writer.BeginObject().Key("logprobs").BeginArray();
  for (const auto& detail : response.logprobs()) writer.Float(detail.token().logprob());
  writer.EndArray();
  writer.Key("token_ids").Ids(response.token_ids());
  writer.Key("sum_logprob").Double(sum);
  writer.Key("perplexity").Double(std::exp(-sum / response.logprobs_size()));
  writer.Key("numerics_profile").String(response.numerics_profile());
  if (with_top) {
    writer.Key("details");
    WriteTokenDetails({response.logprobs().begin(), response.logprobs().end()}, &writer);
  }
  context.PrintJson(writer.EndObject());
}

void PrintTable(const Context& context, const v1::ScoreResponse& response) {
  for (const auto& detail : response.logprobs()) {
    std::string line = absl::StrFormat("%8d %10.4f  %s", detail.token().token_id(),
                                       detail.token().logprob(), LossyUtf8(detail.token().token()));
    // A token may hold a newline of its own; the table has one token a line.
    for (size_t at; (at = line.find('\n')) != std::string::npos;) line.replace(at, 1, "\\n");
    context.PrintLine(line);
  }
  const double mean = SumOf(response) / response.logprobs_size();
  context.PrintLine(absl::StrFormat("%d tokens scored: %.4f nats a token, perplexity %.3f",
                                    response.logprobs_size(), -mean, std::exp(-mean)));
}

int Run(Context& context, ScoreOptions& options) {
  v1::ScoreRequest request;
  if (options.top) request.set_top_logprobs(*options.top);
  if (auto problem = options.prompt.Fill("scored", &request)) return context.FailUsage(*problem);
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  const auto response = client->Score(request, context.CallOptions());
  if (!response.ok()) return context.Fail(response.error());
  if (context.json) {
    PrintJson(context, response.value(), options.top.has_value());
  } else {
    PrintTable(context, response.value());
  }
  return kOk;
}

}  // namespace

void AddScoreCommand(CLI::App& app, Context& context) {
  const auto options = std::make_shared<ScoreOptions>();
  CLI::App* command = app.add_subcommand("score", "How likely the model finds a text");
  command->footer(kScoreExamples);
  PromptFlags::Add(command, &options->prompt);
  command->add_option("--top", options->top, "With --json: this many alternatives to each token");
  command->callback([&context, options] { context.exit_code = Run(context, *options); });
}

}  // namespace ssmd::ctl
