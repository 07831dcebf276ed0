#include "tests/bench/scans_bench.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <random>

#include "absl/strings/str_format.h"
#include "kernels/linear_ops.h"
#include "kernels/ops.h"
#include "tests/bench/seconds.h"

namespace ssmd::bench {
namespace {

using kernels::Buffer;
using kernels::Device;
using kernels::Segment;

constexpr int64_t kChannels = 768;  // d_model
constexpr double kProbeSeconds = 0.02;
// Past the start of a session, where a token costs what most do.
constexpr int64_t kPosition = 1000;

// Numbers of one kind in every layer: coefficients, or states.
class Layered {
 public:
  Layered(Device& device, int64_t layers, int64_t elements, bool doubles)
      : elements_(elements),
        element_bytes_(doubles ? 8 : 4),
        data_(device.Allocate(static_cast<size_t>(layers * elements * element_bytes_))) {
    // Small, so that nothing grows.
    std::mt19937 engine(1);
    for (int64_t i = 0; data_ && i < layers * elements; ++i) {
      const float value = (static_cast<float>(engine() >> 8) * 0x1p-24f - 0.5f) * 0x1p-6f;
      doubles ? data_.as<double>()[i] = value : data_.as<float>()[i] = value;
    }
  }

  bool there() const { return static_cast<bool>(data_); }
  double layer_bytes() const { return static_cast<double>(elements_ * element_bytes_); }
  const float* floats(int64_t layer) const { return data_.as<float>() + layer * elements_; }
  const double* doubles(int64_t layer) const { return data_.as<double>() + layer * elements_; }
  kernels::StateField state(int64_t layer) const {
    kernels::StateField field;
    field.slab = data_.data() + layer * elements_ * element_bytes_;
    return field;
  }

 private:
  const int64_t elements_;
  const int64_t element_bytes_;
  const Buffer data_;
};

// An op in one layer, as it is measured.
struct ScanCase {
  std::string name;
  double layer_bytes;    // of coefficients and state
  double written_bytes;  // of state, a token
  double flops;          // of a token
  int64_t width;         // of an input, and of an output
  std::function<void(int64_t layer, const Segment& segment, float* rows)> run;
};

// Makes the cases, over numbers that they keep.
class ScanCases {
 public:
  ScanCases(Device& device, int64_t megabytes) : device_(device), bytes_(megabytes << 20) {}

  int64_t LayersFor(const ScanCase& c) const {
    return std::max<int64_t>(1, bytes_ / static_cast<int64_t>(c.layer_bytes));
  }

  ScanCase Modal(int64_t modes, int64_t rank) {
    const int64_t elements = kChannels * modes * 2;
    ScanCase c = {absl::StrFormat("ModalScan %d modes, rank %d", modes, rank),
                  4.0 * static_cast<double>(elements * (3 + 2 * rank)),
                  4.0 * static_cast<double>(elements),
                  2.0 * static_cast<double>(kChannels * modes * (6 + 4 * rank)),
                  kChannels,
                  nullptr};
    const auto decay = Numbers(c, elements), output = Numbers(c, elements);
    const auto in = Numbers(c, elements * rank), out = Numbers(c, elements * rank);
    const auto state = Numbers(c, elements);
    c.run = [=, this](int64_t layer, const Segment& segment, float* rows) {
      auto params = ParamsOf<kernels::ModalScanParams>(segment, rows, layer, *state);
      params.modes = modes;
      params.rank = rank;
      params.decay = decay->floats(layer);
      params.output = output->floats(layer);
      params.coupling_in = rank > 0 ? in->floats(layer) : nullptr;
      params.coupling_out = rank > 0 ? out->floats(layer) : nullptr;
      params.d = output->floats(layer);
      device_.ModalScan(params);
    };
    return c;
  }

  ScanCase Complex(int64_t modes) {
    ScanCase c = {absl::StrFormat("ComplexScan %d modes", modes),
                  16.0 * static_cast<double>(modes),
                  8.0 * static_cast<double>(modes),
                  8.0 * static_cast<double>(modes),
                  2 * modes,
                  nullptr};
    const auto decay = Numbers(c, 2 * modes), state = Numbers(c, 2 * modes);
    c.run = [=, this](int64_t layer, const Segment& segment, float* rows) {
      kernels::ComplexScanParams params;
      params.segments = &segment;
      params.segment_count = 1;
      params.modes = modes;
      params.decay = decay->floats(layer);
      params.state = state->state(layer);
      params.x = rows;
      params.x_stride = 2 * modes;
      device_.ComplexScan(params);
    };
    return c;
  }

  ScanCase Difference(int64_t delays) {
    const int64_t elements = kChannels * delays;
    ScanCase c = {absl::StrFormat("DifferenceScan %d delays", delays),
                  8.0 * static_cast<double>(elements * 4),
                  8.0 * static_cast<double>(kChannels * 2),
                  2.0 * static_cast<double>(elements * 2 * 2),
                  kChannels,
                  nullptr};
    const auto numerator = Numbers(c, elements, true), denominator = Numbers(c, elements, true);
    const auto state = Numbers(c, 2 * elements, true);
    c.run = [=, this](int64_t layer, const Segment& segment, float* rows) {
      auto params = ParamsOf<kernels::DifferenceScanParams>(segment, rows, layer, *state);
      params.delays = delays;
      params.numerator = numerator->doubles(layer);
      params.denominator = denominator->doubles(layer);
      params.d = numerator->doubles(layer);
      params.state.format = kernels::StateFormat::kF64;
      device_.DifferenceScan(params);
    };
    return c;
  }

  ScanCase Dense(int64_t size) {
    const int64_t elements = kChannels * size;
    ScanCase c = {absl::StrFormat("DenseScan N = %d", size),
                  4.0 * static_cast<double>(2 * elements + size * size),
                  4.0 * static_cast<double>(elements),
                  2.0 * static_cast<double>(kChannels * (size * size + size)),
                  kChannels,
                  nullptr};
    const auto a = Numbers(c, size * size), b = Numbers(c, size);
    const auto output = Numbers(c, elements), state = Numbers(c, elements);
    c.run = [=, this](int64_t layer, const Segment& segment, float* rows) {
      auto params = ParamsOf<kernels::DenseScanParams>(segment, rows, layer, *state);
      params.state_size = size;
      params.a = a->floats(layer);
      params.b = b->floats(layer);
      params.output = output->floats(layer);
      params.d = output->floats(layer);
      device_.DenseScan(params);
    };
    return c;
  }

  // The exact step is measured without the nodes that only the reference needs.
  ScanCase Legs(int64_t size, kernels::LegsStep step) {
    const int64_t elements = kChannels * size;
    const bool exact = step == kernels::LegsStep::kExact;
    ScanCase c = {absl::StrFormat("LegsScan N = %d, %s", size, exact ? "exact" : "bilinear"),
                  4.0 * static_cast<double>(2 * elements),
                  4.0 * static_cast<double>(elements),
                  2.0 * static_cast<double>(elements * (exact ? (size + 1) / 2 + 1 : 6)),
                  kChannels,
                  nullptr};
    const auto output = Numbers(c, elements), state = Numbers(c, elements);
    c.run = [=, this](int64_t layer, const Segment& segment, float* rows) {
      auto params = ParamsOf<kernels::LegsScanParams>(segment, rows, layer, *state);
      params.state_size = size;
      params.step = step;
      params.output = output->floats(layer);
      params.d = output->floats(layer);
      device_.LegsScan(params);
    };
    return c;
  }

 private:
  std::shared_ptr<Layered> Numbers(const ScanCase& c, int64_t elements, bool doubles = false) {
    return std::make_shared<Layered>(device_, LayersFor(c), std::max<int64_t>(elements, 1),
                                     doubles);
  }
  template <typename Params>
  static Params ParamsOf(const Segment& segment, float* rows, int64_t layer, const Layered& state) {
    Params params;
    params.segments = &segment;
    params.segment_count = 1;
    params.channels = kChannels;
    params.u = rows;
    params.u_stride = kChannels;
    params.y = rows + segment.length * kChannels;
    params.y_stride = kChannels;
    params.state = state.state(layer);
    return params;
  }

  Device& device_;
  const int64_t bytes_;
};

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
  const double bytes = c.layer_bytes + c.written_bytes + 8.0 * count * static_cast<double>(c.width);
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
  const std::unique_ptr<Device> device = kernels::MakeCpuDevice({options.isa, options.threads});
  const Layered rows(*device, 1, 2 * options.prompt * kChannels, false);
  auto* const first_row = const_cast<float*>(rows.floats(0));
  ScanCases cases(*device, options.megabytes);
  const auto measure = [&](const ScanCase& c) {
    for (const int64_t tokens : {int64_t{1}, options.prompt}) {
      const int64_t layers = tokens == 1 ? cases.LayersFor(c) : 1;
      result.times.push_back(TimeOf(options, result, c, layers, tokens, first_row));
    }
  };
  measure(cases.Modal(32, 0));
  measure(cases.Modal(32, 1));
  measure(cases.Complex(384));
  measure(cases.Difference(64));
  measure(cases.Dense(64));
  measure(cases.Legs(64, kernels::LegsStep::kBilinear));
  measure(cases.Legs(64, kernels::LegsStep::kExact));
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
