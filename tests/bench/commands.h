// The subcommands of ssmd-bench but for `serve`, which is clients/bench's. Running one sets
// *exit_code; both arguments outlive the parse.
#ifndef SSMD_TESTS_BENCH_COMMANDS_H_
#define SSMD_TESTS_BENCH_COMMANDS_H_

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"

namespace ssmd::bench {

void AddRooflineCommand(CLI::App& app, int* exit_code);
void AddEngineCommand(CLI::App& app, int* exit_code);
void AddScansCommand(CLI::App& app, int* exit_code);
void AddMemoryCommand(CLI::App& app, int* exit_code);
void AddQualityCommand(CLI::App& app, int* exit_code);
void AddTurnsCommand(CLI::App& app, int* exit_code);
void AddForkCommand(CLI::App& app, int* exit_code);
void AddOverheadCommand(CLI::App& app, int* exit_code);
void AddOverloadCommand(CLI::App& app, int* exit_code);

// Runs `run` when `command` is given, and tells of what goes wrong.
inline void RunAsCallback(CLI::App* command, int* exit_code, std::function<absl::Status()> run) {
  command->callback([exit_code, run = std::move(run)] {
    const absl::Status status = run();
    if (status.ok()) return;
    std::fprintf(stderr, "ssmd-bench: %s\n", std::string(status.message()).c_str());
    *exit_code = 1;
  });
}

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_COMMANDS_H_
