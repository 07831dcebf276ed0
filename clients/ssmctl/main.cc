// ssmctl: the command line of an ssmd daemon. Wiring only: flags, commands, exit status.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "clients/ssmctl/commands.h"

namespace ssmd::ctl {
namespace {

constexpr const char* kAbout =
    R"(ssmctl talks to an ssmd daemon: generates text, chats, scores, and looks inside.)";

constexpr const char* kExamples = R"(Examples:
  ssmctl generate --prompt "Once upon a time"
  ssmctl chat
  ssmctl score --text "The cat sat on the mat."
  ssmctl encode --text "The cat sat on the mat." --json
  ssmctl stats --json
  ssmctl --server 10.0.0.5:50051 --tls --token-file ~/.ssmd-token models
`ssmctl COMMAND --help` says more. Exit status: 0 done, 1 the call failed, 2 bad command line,
130 interrupted.)";

void AddConnectionFlags(CLI::App& app, Context& context) {
  app.add_option("--server", context.connect.server, "HOST:PORT of the daemon")
      ->envname("SSMD_SERVER")
      ->capture_default_str();
  app.add_flag("--json", context.json, "For machines: JSON on standard output, errors as JSON too");
  app.add_option("--timeout", context.timeout_seconds,
                 "Give up after so many seconds; 0: never [0]")
      ->check(CLI::Range(0.0, 1e6));
  const std::string security = "Security";
  app.add_flag("--tls", context.connect.tls, "Use TLS, verified against the system's authorities")
      ->group(security);
  app.add_option("--tls-ca", context.connect.ca_file, "Use TLS, verified against this PEM file")
      ->envname("SSMD_TLS_CA")
      ->group(security);
  app.add_option("--tls-server-name", context.connect.tls_server_name,
                 "The name to expect in the certificate")
      ->envname("SSMD_TLS_SERVER_NAME")
      ->group(security);
  app.add_option("--tls-cert", context.connect.certificate_file,
                 "Certificate to show to the server (PEM)")
      ->envname("SSMD_TLS_CERT")
      ->group(security);
  app.add_option("--tls-key", context.connect.key_file, "Its private key (PEM)")
      ->envname("SSMD_TLS_KEY")
      ->group(security);
  app.add_option("--token-file", context.connect.token_file,
                 "File with the bearer token [the variable SSMD_TOKEN]")
      ->group(security);
  app.add_flag("--insecure", context.connect.allow_plaintext_token,
               "Send the token without TLS to other machines too")
      ->group(security);
}

void AddCommands(CLI::App& app, Context& context) {
  AddGenerateCommand(app, context);
  AddChatCommand(app, context);
  AddScoreCommand(app, context);
  AddEncodeCommand(app, context);
  AddTokenizeCommand(app, context);
  AddDetokenizeCommand(app, context);
  AddSessionsCommand(app, context);
  AddMemoryCommand(app, context);
  AddModelsCommand(app, context);
  AddHealthCommand(app, context);
  AddStatsCommand(app, context);
  AddTopCommand(app, context);
  // The flags above hold after the command as well as before it.
  for (CLI::App* command : app.get_subcommands({})) command->fallthrough();
}

bool AsksForJson(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--json") return true;
  }
  return false;
}

// What is wrong with the command line. A command that there is not comes out of the parser as one
// that is missing.
std::string Complaint(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* last = &app;
  std::string path;
  while (!last->get_subcommands().empty()) {
    last = last->get_subcommands().front();
    path += last->get_name() + " ";
  }
  const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
  if (last->get_require_subcommand_min() > 0 && !unknown.empty() &&
      unknown.front().rfind('-', 0) != 0) {
    return "there is no command '" + path + unknown.front() + "'";
  }
  return error.what();
}

int Main(int argc, char** argv) {
  Context context;
  context.connect.server = kDefaultServer;
  CLI::App app(kAbout, "ssmctl");
  app.footer(kExamples);
  app.require_subcommand(1);
  app.set_version_flag("--version", "ssmctl " SSMD_VERSION);
  AddConnectionFlags(app, context);
  AddCommands(app, context);
  // Runs once the command line was read, before the command.
  app.parse_complete_callback([&] {
    if (!context.connect.ca_file.empty()) context.connect.tls = true;
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help and --version
    context.json = AsksForJson(argc, argv);
    return context.FailUsage(Complaint(app, error) +
                             (context.json ? "" : "\nRun with --help for more."));
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    client::Error lost;
    lost.code = grpc::StatusCode::DATA_LOSS;
    lost.message = "standard output did not take all of the result";
    const int failed = context.Fail(lost);
    if (context.exit_code == kOk) return failed;
  }
  return context.exit_code;
}

}  // namespace
}  // namespace ssmd::ctl

int main(int argc, char** argv) { return ssmd::ctl::Main(argc, argv); }
