// The subcommands of ssmd-bench that need no network. Running one sets *exit_code; both arguments
// outlive the parse.
#ifndef SSMD_TESTS_BENCH_COMMANDS_H_
#define SSMD_TESTS_BENCH_COMMANDS_H_

#include <CLI/CLI.hpp>

namespace ssmd::bench {

void AddRooflineCommand(CLI::App& app, int* exit_code);
void AddEngineCommand(CLI::App& app, int* exit_code);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_COMMANDS_H_
