// `ssmd-bench roofline`.
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/status_macros.h"
#include "kernels/device.h"
#include "tests/bench/commands.h"
#include "tests/bench/device_flag.h"
#include "tests/bench/opened_gpu.h"
#include "tests/bench/roofline.h"

namespace ssmd::bench {
namespace {

struct RooflineFlags {
  RooflineOptions options;
  int64_t megabytes = 0;
  std::string device = "cpu";
  bool json = false;
};

absl::Status RunRoofline(const RooflineFlags& flags) {
  std::string text;
  if (const std::optional<int> gpu = GpuOf(flags.device)) {
    SSMD_ASSIGN_OR_RETURN(const OpenedGpu opened, OpenGpuForBench(*gpu, flags.megabytes));
    text =
        flags.json ? gpu_bench::ToJson(opened.ceilings) + "\n" : gpu_bench::ToText(opened.ceilings);
  } else {
    const MachineProbe probe(flags.options.isa, flags.megabytes);
    if (probe.megabytes() == 0) {
      return absl::ResourceExhaustedError("no memory for the buffer: give a smaller --megabytes");
    }
    const Roofline roofline = MeasureRoofline(flags.options, probe);
    text = flags.json ? ToJson(roofline) + "\n" : ToText(roofline);
  }
  std::fputs(text.c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace

void AddRooflineCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<RooflineFlags>();  // lives as long as the callback
  flags->options.isa = kernels::SupportedIsas().back();
  flags->options.threads = kernels::MakeCpuDevice({})->threads();
  CLI::App* command = app.add_subcommand("roofline", "Memory bandwidth and peaks of arithmetic");
  command->add_option("--threads", flags->options.threads, "Threads")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command
      ->add_option("--megabytes", flags->megabytes,
                   "Buffer (default: twice the caches, of a GPU 2048)")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--repeats", flags->options.repeats, "Runs, of which the best counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  AddDeviceFlag(command, &flags->device);
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  RunAsCallback(command, exit_code, [flags] { return RunRoofline(*flags); });
}

}  // namespace ssmd::bench
