// ssmd-bench: what the machine can do (roofline), what recurrences (scans) and the engine (engine)
// do on it, what number formats cost (quality), and what a daemon does under clients (turns, fork,
// overhead, overload, serve).
#include <CLI/CLI.hpp>

#include "clients/bench/serve_bench.h"
#include "tests/bench/commands.h"

int main(int argc, char** argv) {
  CLI::App app{"Measures ssmd, and the machine that it runs on."};
  app.require_subcommand(1);
  int exit_code = 0;
  ssmd::bench::AddRooflineCommand(app, &exit_code);
  ssmd::bench::AddEngineCommand(app, &exit_code);
  ssmd::bench::AddScansCommand(app, &exit_code);
  ssmd::bench::AddMemoryCommand(app, &exit_code);
  ssmd::bench::AddQualityCommand(app, &exit_code);
  ssmd::bench::AddTurnsCommand(app, &exit_code);
  ssmd::bench::AddForkCommand(app, &exit_code);
  ssmd::bench::AddOverheadCommand(app, &exit_code);
  ssmd::bench::AddOverloadCommand(app, &exit_code);
  ssmd::bench::AddServeCommand(app, &exit_code);
  CLI11_PARSE(app, argc, argv);
  return exit_code;
}
