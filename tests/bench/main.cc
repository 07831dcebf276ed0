// ssmd-bench: roofline, engine and, where the clients were built, serve.
#include <CLI/CLI.hpp>

#include "tests/bench/commands.h"

#if defined(SSMD_WITH_SERVE_BENCH)
#include "clients/bench/serve_bench.h"
#endif

int main(int argc, char** argv) {
  CLI::App app{"Measures ssmd, and the machine that it runs on."};
  app.require_subcommand(1);
  int exit_code = 0;
  ssmd::bench::AddRooflineCommand(app, &exit_code);
  ssmd::bench::AddEngineCommand(app, &exit_code);
#if defined(SSMD_WITH_SERVE_BENCH)
  ssmd::bench::AddServeCommand(app, &exit_code);
#endif
  CLI11_PARSE(app, argc, argv);
  return exit_code;
}
