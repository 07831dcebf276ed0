#include "tests/bench/roofline.h"

#include <algorithm>
#include <fstream>

#include "absl/strings/str_format.h"
#include "tests/bench/json_text.h"

namespace ssmd::bench {
namespace {

constexpr double kProbeSeconds = 0.1;

// `measure(threads)` with one thread and with all, the best of some.
template <typename Measure>
Rates BestRates(const RooflineOptions& options, const Measure& measure) {
  Rates best;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    best.one = std::max(best.one, measure(1));
    best.all = std::max(best.all, measure(options.threads));
  }
  return best;
}

std::string RatesJson(const char* name, const Rates& rates) {
  return absl::StrFormat(R"("%s_1":%.2f,"%s":%.2f)", name, rates.one, name, rates.all);
}

}  // namespace

std::string CpuName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

Roofline MeasureRoofline(const RooflineOptions& options, const MachineProbe& probe) {
  const auto peak = [&](Arithmetic arithmetic) {
    return BestRates(options, [&](int threads) {
      return probe.GopPerSecond(arithmetic, threads, kProbeSeconds);
    });
  };
  Roofline result;
  result.cpu = CpuName();
  result.cpus = kernels::MakeCpuDevice({})->threads();
  result.threads = options.threads;
  result.isa = options.isa;
  result.megabytes = probe.megabytes();
  result.read_gb_s = BestRates(
      options, [&](int threads) { return probe.ReadGbPerSecond(threads, kProbeSeconds); });
  result.fma_gflop_s = peak(Arithmetic::kFma);
  result.bf16_dot = HasBf16Dot(options.isa);
  result.bf16_gflop_s = result.bf16_dot ? peak(Arithmetic::kBf16) : result.fma_gflop_s;
  result.int8_gop_s = peak(Arithmetic::kInt8);
  result.int4_gop_s = peak(Arithmetic::kInt4);
  return result;
}

std::string ToJson(const Roofline& roofline) {
  return absl::StrFormat(
      R"({"cpu":%s,"cpus":%d,"threads":%d,"isa":"%s","buffer_mb":%d,%s,%s,%s,)"
      R"("bf16_dot":%s,%s,%s})",
      JsonText(roofline.cpu), roofline.cpus, roofline.threads, std::string(IsaName(roofline.isa)),
      roofline.megabytes, RatesJson("read_gb_s", roofline.read_gb_s),
      RatesJson("fma_gflop_s", roofline.fma_gflop_s),
      RatesJson("bf16_gflop_s", roofline.bf16_gflop_s), roofline.bf16_dot ? "true" : "false",
      RatesJson("int8_gop_s", roofline.int8_gop_s), RatesJson("int4_gop_s", roofline.int4_gop_s));
}

std::string ToText(const Roofline& roofline) {
  const auto line = [&](const char* name, const Rates& rates, const char* unit,
                        const std::string& note) {
    return absl::StrFormat("  %-5s%7.*f %s on 1 thread, %6.*f on %d%s\n", name, unit[1] == 'B',
                           rates.one, unit, unit[1] == 'B', rates.all, roofline.threads, note);
  };
  return absl::StrFormat("%s, %d CPUs, %s\n", roofline.cpu, roofline.cpus,
                         std::string(IsaName(roofline.isa))) +
         line("read", roofline.read_gb_s, "GB/s",
              absl::StrFormat(" (buffer of %d MB)", roofline.megabytes)) +
         line("FMA", roofline.fma_gflop_s, "GFLOP/s", "") +
         line("bf16", roofline.bf16_gflop_s, "GFLOP/s",
              roofline.bf16_dot ? "" : " (that of FMA: no dot instructions here)") +
         line("int8", roofline.int8_gop_s, "GOP/s", "") +
         line("int4", roofline.int4_gop_s, "GOP/s", "");
}

}  // namespace ssmd::bench
