// `ssmctl stats`: what the daemon is doing, once.
#include "clients/ssmctl/commands.h"
#include "clients/ssmctl/stats_output.h"

namespace ssmd::ctl {
namespace {

int Run(Context& context) {
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  const auto stats = client->GetStats(context.CallOptions());
  if (!stats.ok()) return context.Fail(stats.error());
  if (context.json) {
    JsonWriter writer;
    WriteStats(stats.value(), &writer);
    context.PrintJson(writer);
    return kOk;
  }
  for (const std::string& line : DescribeStats(stats.value())) context.PrintLine(line);
  return kOk;
}

}  // namespace

void AddStatsCommand(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("stats", "What the server is doing");
  command->footer("Examples:\n  ssmctl stats\n  ssmctl stats --json");
  command->callback([&context] { context.exit_code = Run(context); });
}

}  // namespace ssmd::ctl
