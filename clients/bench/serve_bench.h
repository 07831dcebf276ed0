// `ssmd-bench serve`: what a daemon does under real clients.
#ifndef SSMD_CLIENTS_BENCH_SERVE_BENCH_H_
#define SSMD_CLIENTS_BENCH_SERVE_BENCH_H_

#include <CLI/CLI.hpp>

namespace ssmd::bench {

// Adds the subcommand `serve`; running it sets *exit_code. Both arguments outlive the parse.
void AddServeCommand(CLI::App& app, int* exit_code);

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_SERVE_BENCH_H_
