#include "tests/gpu/bench/acceptance.h"

#include <optional>

#include "tests/gpu/bench/text.h"

namespace ssmd::gpu_bench {
namespace {

enum class Measure : uint8_t {
  kOfFloor,     // at least
  kLoss,        // at most
  kTimesFloor,  // at most
};

struct Promise {
  const char* figure;  // Figure::id()
  Measure measure;
  double bound;
};
constexpr Promise kPromises[] = {
    {"step/mamba-2.8b/bf16/1/decode+draws", Measure::kOfFloor, 0.80},
    {"step/mamba2-2.7b/bf16/1/decode+draws", Measure::kOfFloor, 0.80},
    {"step/mamba-2.8b/bf16/64/decode+draws", Measure::kOfFloor, 0.80},
    {"step/mamba2-2.7b/bf16/64/decode+draws", Measure::kOfFloor, 0.85},
    {"step/mamba-2.8b/bf16/256/decode+draws", Measure::kOfFloor, 0.75},
    {"step/mamba2-2.7b/bf16/256/decode+draws", Measure::kOfFloor, 0.85},
    {"step/mamba-2.8b/fp8/1/decode+draws", Measure::kOfFloor, 0.70},
    {"step/mamba2-2.7b/fp8/1/decode+draws", Measure::kOfFloor, 0.70},
    {"step/mamba-2.8b/q4/1/decode+draws", Measure::kOfFloor, 0.60},
    {"step/mamba2-2.7b/q4/1/decode+draws", Measure::kOfFloor, 0.60},
    // A prompt's floor is its products at the matrix peak.
    {"step/mamba-2.8b/bf16/4x2048/prefill", Measure::kOfFloor, 0.45},
    {"step/mamba2-2.7b/bf16/4x2048/prefill_chunked", Measure::kOfFloor, 0.50},
    {"step/mamba-2.8b/bf16/1/decode", Measure::kLoss, 0.08},
    {"step/mamba2-2.7b/bf16/1/decode", Measure::kLoss, 0.08},
    {"step/mamba-2.8b/bf16/64/decode", Measure::kLoss, 0.06},
    {"step/mamba2-2.7b/bf16/64/decode", Measure::kLoss, 0.03},
    {"state/mamba-2.8b/bf16/1/fork", Measure::kTimesFloor, 1.5},
    {"state/mamba-2.8b/bf16/1/evict", Measure::kTimesFloor, 1.5},
    {"state/mamba-2.8b/bf16/1/restore", Measure::kTimesFloor, 1.5},
};

const char* Name(Measure measure) {
  switch (measure) {
    case Measure::kOfFloor:
      return "of the floor, at least";
    case Measure::kLoss:
      return "lost between kernels, at most";
    case Measure::kTimesFloor:
      return "times its floor, at most";
  }
  return "";
}

std::optional<double> ValueOf(const Promise& promise, const Figures& figures) {
  const Figure* figure = figures.Find(promise.figure);
  if (figure == nullptr) return std::nullopt;
  if (promise.measure == Measure::kLoss) {
    return figure->boundary_loss >= 0 ? std::optional(figure->boundary_loss) : std::nullopt;
  }
  if (figure->floor_ms <= 0) return std::nullopt;
  return promise.measure == Measure::kOfFloor ? figure->of_floor() : 1 / figure->of_floor();
}

bool IsMet(const Promise& promise, double value) {
  return promise.measure == Measure::kOfFloor ? value >= promise.bound : value <= promise.bound;
}

}  // namespace

std::string AcceptanceText(const Figures& figures) {
  std::string text = "\nAcceptance\n";
  for (const Promise& promise : kPromises) {
    const std::optional<double> value = ValueOf(promise, figures);
    const char* verdict = !value ? "not measured" : IsMet(promise, *value) ? "met" : "MISSED";
    const std::string figure = value ? Format("%.3f", *value) : "-";
    text += Format("  %-12s %-46s %6s  %s %.2f\n", verdict, promise.figure, figure.c_str(),
                   Name(promise.measure), promise.bound);
  }
  return text +
         "  elsewhere    the daemon beside the engine: ssmd-bench overhead --device=cuda "
         "--streams=64\n"
         "  elsewhere    published kernels beside these: tests/gpu/peers.py\n";
}

std::string AcceptanceJson(const Figures& figures) {
  std::string json = "[";
  for (const Promise& promise : kPromises) {
    const std::optional<double> value = ValueOf(promise, figures);
    if (json.size() > 1) json += ",\n";
    json += Format(R"({"figure":"%s","measure":"%s","bound":%.3g,"value":%s,"met":%s})",
                   promise.figure, Name(promise.measure), promise.bound,
                   value ? Format("%.4g", *value).c_str() : "null",
                   !value                   ? "null"
                   : IsMet(promise, *value) ? "true"
                                            : "false");
  }
  return json + "]";
}

}  // namespace ssmd::gpu_bench
