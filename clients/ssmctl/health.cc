// `ssmctl health`: whether the daemon takes calls, for the health checks of containers.
#include <chrono>
#include <string>

#include "clients/ssmctl/commands.h"

namespace ssmd::ctl {
namespace {

// A check that hangs says nothing: without a --timeout it gives up after so long.
constexpr std::chrono::seconds kPatience(5);

const char* NameOf(client::Health health) {
  switch (health) {
    case client::Health::kServing:
      return "SERVING";
    case client::Health::kNotServing:
      return "NOT_SERVING";
    case client::Health::kUnknown:
      break;
  }
  return "UNKNOWN";
}

int RunHealth(Context& context, const std::string& service) {
  const auto client = context.Connect();
  if (client == nullptr) return context.exit_code;
  client::CallOptions options = context.CallOptions();
  if (!options.timeout.has_value()) options.timeout = kPatience;
  const auto health = client->CheckHealth(service, options);
  if (!health.ok()) return context.Fail(health.error());
  const char* const name = NameOf(health.value());
  if (context.json) {
    JsonWriter writer;
    writer.BeginObject().Key("status").String(name).EndObject();
    context.PrintJson(writer);
  } else {
    context.PrintLine(name);
  }
  return health.value() == client::Health::kServing ? kOk : kFailed;
}

}  // namespace

void AddHealthCommand(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("health", "Whether the server takes calls");
  command->footer(
      "Exit status 0: it does. 1: it starts, drains, or does not answer within --timeout (5 s).\n"
      "Examples:\n  ssmctl health\n  ssmctl health --service ssmd.v1.GenerationService --json");
  auto service = std::make_shared<std::string>();
  command->add_option("--service", *service, "One service of the server [all of it]");
  command->callback([&context, service] { context.exit_code = RunHealth(context, *service); });
}

}  // namespace ssmd::ctl
