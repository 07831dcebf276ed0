// `ssmd-bench roofline`.
#include <cstdio>
#include <memory>
#include <string>

#include "kernels/device.h"
#include "tests/bench/commands.h"
#include "tests/bench/roofline.h"

namespace ssmd::bench {
namespace {

struct RooflineFlags {
  RooflineOptions options;
  int64_t megabytes = 0;
  bool json = false;
};

}  // namespace

void AddRooflineCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<RooflineFlags>();  // lives as long as the callback
  flags->options.isa = kernels::SupportedIsas().back();
  flags->options.threads = kernels::MakeCpuDevice({})->threads();
  CLI::App* command = app.add_subcommand("roofline", "Memory bandwidth and peaks of arithmetic");
  command->add_option("--threads", flags->options.threads, "Threads")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--megabytes", flags->megabytes, "Buffer (default: twice the caches)")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--repeats", flags->options.repeats, "Runs, of which the best counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  command->callback([flags, exit_code] {
    const MachineProbe probe(flags->options.isa, flags->megabytes);
    if (probe.megabytes() == 0) {
      std::fputs("no memory for the buffer: give a smaller --megabytes\n", stderr);
      *exit_code = 1;
      return;
    }
    const Roofline roofline = MeasureRoofline(flags->options, probe);
    const std::string text = flags->json ? ToJson(roofline) + "\n" : ToText(roofline);
    std::fputs(text.c_str(), stdout);
    *exit_code = 0;
  });
}

}  // namespace ssmd::bench
