// `ssmd-bench ops`.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "tests/bench/commands.h"
#include "tests/bench/ops_bench.h"

namespace ssmd::bench {
namespace {

struct OpsFlags {
  OpsOptions options;
  int64_t megabytes = 0;
  bool json = false;
};

absl::Status RunOps(const OpsFlags& flags) {
  const MachineProbe probe(flags.options.isa, flags.megabytes);
  std::vector<OpFigures> figures;
  if (probe.megabytes() > 0) figures = MeasureOps(flags.options, probe);
  if (figures.empty()) {
    return absl::ResourceExhaustedError("no memory for the buffers: give a smaller --megabytes");
  }
  const std::string text = flags.json ? ToJson(figures) + "\n" : ToText(figures);
  std::fputs(text.c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace

void AddOpsCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<OpsFlags>();  // lives as long as the callback
  flags->options.isa = kernels::SupportedIsas().back();
  flags->options.threads = kernels::MakeCpuDevice({})->threads();
  CLI::App* command = app.add_subcommand("ops", "The recurrences of RWKV by themselves");
  command->add_option("--threads", flags->options.threads, "Threads")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command
      ->add_option("--megabytes", flags->megabytes,
                   "Buffer, and states (default: twice the caches)")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--repeats", flags->options.repeats, "Runs, of which the best counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "A JSON array on standard output");
  RunAsCallback(command, exit_code, [flags] { return RunOps(*flags); });
}

}  // namespace ssmd::bench
