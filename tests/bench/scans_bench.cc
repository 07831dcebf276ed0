#include "tests/bench/scans_bench.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_format.h"
#include "tests/bench/scan_cases.h"
#include "tests/bench/seconds.h"

namespace ssmd::bench {
namespace {

using kernels::Segment;

constexpr double kProbeSeconds = 0.02;
// Past the start of a session, where a token costs what most do.
constexpr int64_t kPosition = 1000;
constexpr float kInput = 0x1p-7f;  // of every operand

// Seconds of a call, over `layers` in turn.
double SecondsOfACall(const ScansOptions& options, const ScanCase& c, int64_t layers,
                      int64_t tokens, float* rows) {
  const Segment segment = {0, static_cast<int32_t>(tokens), 0, 0, kPosition};
  double best = 1e30;
  int64_t layer = 0;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    const double begin = Seconds();
    double passed = 0;
    int64_t calls = 0;
    for (; passed < options.seconds; passed = Seconds() - begin, ++calls) {
      c.run(layer, segment, rows);
      layer = layer + 1 < layers ? layer + 1 : 0;
    }
    best = std::min(best, passed / static_cast<double>(calls));
  }
  return best;
}

ScanTime TimeOf(const ScansOptions& options, const ScansResult& machine, const ScanCase& c,
                int64_t layers, int64_t tokens, float* rows) {
  const auto count = static_cast<double>(tokens);
  const double seconds = SecondsOfACall(options, c, layers, tokens, rows);
  const double bytes = c.coefficient_bytes + c.state_bytes + c.written_bytes +
                       4.0 * count * static_cast<double>(c.row_floats);
  ScanTime time;
  time.op = c.name;
  time.tokens = tokens;
  time.us = 1e6 * seconds;
  time.gb_s = 1e-9 * bytes / seconds;
  time.gflop_s = 1e-9 * c.flops * count / seconds;
  time.fraction_of_floor =
      std::max(time.gb_s / machine.read_gb_s, time.gflop_s / machine.fma_gflop_s);
  return time;
}

}  // namespace

ScansResult MeasureScans(const ScansOptions& options, const MachineProbe& probe) {
  ScansResult result;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    result.read_gb_s =
        std::max(result.read_gb_s, probe.ReadGbPerSecond(options.threads, kProbeSeconds));
    result.fma_gflop_s = std::max(
        result.fma_gflop_s, probe.GopPerSecond(Arithmetic::kFma, options.threads, kProbeSeconds));
  }
  const auto device = kernels::MakeCpuDevice({options.isa, options.threads});
  std::vector<float> rows(static_cast<size_t>(options.prompt * kMaxScanRow));
  ForEachScanCase(*device, options.megabytes, [&](const ScanCase& c) {
    for (const int64_t tokens : {int64_t{1}, options.prompt}) {
      const int64_t layers = tokens == 1 ? c.layers : 1;
      std::fill(rows.begin(), rows.end(), kInput);  // what works in place changes them
      result.times.push_back(TimeOf(options, result, c, layers, tokens, rows.data()));
    }
  });
  return result;
}

std::string ToJson(const ScansResult& result) {
  std::string json = absl::StrFormat(R"({"read_gb_s":%.2f,"fma_gflop_s":%.2f,"scans":[)",
                                     result.read_gb_s, result.fma_gflop_s);
  for (const ScanTime& time : result.times) {
    if (&time != &result.times.front()) json += ",";
    json += absl::StrFormat(
        R"({"op":"%s","tokens":%d,"us":%.2f,"gb_s":%.2f,"gflop_s":%.2f,"fraction_of_floor":%.3f})",
        time.op, time.tokens, time.us, time.gb_s, time.gflop_s, time.fraction_of_floor);
  }
  return json + "]}";
}

std::string ToText(const ScansResult& result) {
  std::string text = absl::StrFormat("reads %.1f GB/s, multiplies and adds %.0f GFLOP/s\n",
                                     result.read_gb_s, result.fma_gflop_s);
  for (const ScanTime& time : result.times) {
    text += absl::StrFormat(
        "%-28s %4d tokens %9.1f us %6.1f GB/s %6.1f GFLOP/s  %3.0f%% of floor\n", time.op,
        time.tokens, time.us, time.gb_s, time.gflop_s, 100 * time.fraction_of_floor);
  }
  return text;
}

}  // namespace ssmd::bench
