// `ssmd-bench scans`.
#include <cstdio>
#include <memory>

#include "tests/bench/commands.h"
#include "tests/bench/scans_bench.h"

namespace ssmd::bench {
namespace {

struct ScansFlags {
  ScansOptions options;
  bool json = false;
};

absl::Status RunScans(const ScansFlags& flags) {
  const MachineProbe probe(flags.options.isa, flags.options.megabytes);
  if (probe.megabytes() == 0) {
    return absl::ResourceExhaustedError("no memory for the buffer: give a smaller --megabytes");
  }
  const ScansResult result = MeasureScans(flags.options, probe);
  std::puts((flags.json ? ToJson(result) : ToText(result)).c_str());
  return absl::OkStatus();
}

}  // namespace

void AddScansCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<ScansFlags>();  // lives as long as the callback
  ScansOptions& options = flags->options;
  options.isa = kernels::SupportedIsas().back();
  CLI::App* command = app.add_subcommand("scans", "Linear recurrences by themselves");
  command->add_option("--threads", options.threads, "Threads")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--prompt", options.prompt, "Tokens of a prompt")
      ->check(CLI::Range(2, 1 << 16))
      ->capture_default_str();
  command->add_option("--megabytes", options.megabytes, "Of layers that tokens go through in turn")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  command->add_option("--repeats", options.repeats, "Runs, of which the best counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  RunAsCallback(command, exit_code, [flags] { return RunScans(*flags); });
}

}  // namespace ssmd::bench
