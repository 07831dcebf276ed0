#include "tests/gpu/bench/figures.h"

#include <cstdio>

#include "tests/gpu/bench/text.h"

namespace ssmd::gpu_bench {
namespace {

// A figure that may not be there, as wide as its column.
std::string Cell(bool known, const char* format, double value, int width) {
  const std::string text = known ? Format(format, value) : "-";
  return Format(" %*s", width, text.c_str());
}

}  // namespace

std::string Figure::id() const {
  return group + "/" + model + "/" + weights + "/" + load + "/" + name;
}

void Figures::Title(const std::string& title) {
  std::printf("\n%s\n%-13s %-5s %-7s %-15s %10s %19s %9s %7s %9s %7s %8s %6s\n", title.c_str(),
              "model", "", "rows", "", "ms", "(lowest-highest)", "GB/s", "of copy", "TFLOP/s",
              "of peak", "of floor", "loss");
}

void Figures::Add(const Figure& figure) {
  all_.push_back(figure);
  const double gb_s = figure.bytes * 1e-6 / figure.ms.median;
  const double tflop_s = figure.flops * 1e-9 / figure.ms.median;
  const double peak = ceilings_.matrix_tflop_s.median;
  const std::string ends = Format("(%.4f-%.4f)", figure.ms.lowest, figure.ms.highest);
  std::string line =
      Format("%-13s %-5s %-7s %-15s %10.4f %19s", figure.model.c_str(), figure.weights.c_str(),
             figure.load.c_str(), figure.name.c_str(), figure.ms.median, ends.c_str());
  line += Cell(figure.bytes > 0, "%.0f", gb_s, 9);
  line += Cell(figure.bytes > 0, "%.1f%%", 100 * gb_s / ceilings_.copy_gb_s.median, 7);
  line += Cell(figure.flops > 0, "%.1f", tflop_s, 9);
  line += Cell(figure.flops > 0 && peak > 0, "%.1f%%", 100 * tflop_s / peak, 7);
  line += Cell(figure.floor_ms > 0, "%.1f%%", figure.floor_ms > 0 ? 100 * figure.of_floor() : 0, 8);
  line += Cell(figure.boundary_loss >= 0, "%.1f%%", 100 * figure.boundary_loss, 6);
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

const Figure* Figures::Find(const std::string& id) const {
  for (const Figure& figure : all_) {
    if (figure.id() == id) return &figure;
  }
  return nullptr;
}

std::string Figures::FigureJson(const Figure& figure) const {
  std::string json =
      Format(R"({"group":"%s","model":"%s","weights":"%s","load":"%s","name":"%s","ms":%s)",
             figure.group.c_str(), figure.model.c_str(), figure.weights.c_str(),
             figure.load.c_str(), figure.name.c_str(), gpu_bench::ToJson(figure.ms).c_str());
  const auto add = [&json](bool known, const char* name, double value) {
    if (known) json += Format(",\"%s\":%.6g", name, value);
  };
  const double peak = ceilings_.matrix_tflop_s.median;
  const double gb_s = figure.bytes * 1e-6 / figure.ms.median;
  const double tflop_s = figure.flops * 1e-9 / figure.ms.median;
  add(figure.pieces > 0, "pieces", static_cast<double>(figure.pieces));
  add(figure.tokens > 0, "tok_s", 1e3 * figure.tokens / figure.ms.median);
  add(figure.bytes > 0, "bytes", figure.bytes);
  add(figure.bytes > 0, "gb_s", gb_s);
  add(figure.bytes > 0, "of_copy", gb_s / ceilings_.copy_gb_s.median);
  add(figure.flops > 0, "flops", figure.flops);
  add(figure.flops > 0, "tflop_s", tflop_s);
  add(figure.flops > 0 && peak > 0, "of_matrix_peak", tflop_s / peak);
  add(figure.floor_ms > 0, "floor_ms", figure.floor_ms);
  add(figure.floor_ms > 0, "of_floor", figure.of_floor());
  add(figure.boundary_loss >= 0, "boundary_loss", figure.boundary_loss);
  return json + "}";
}

std::string Figures::ToJson() const {
  std::string json = "[";
  for (const Figure& figure : all_) {
    if (json.size() > 1) json += ",\n";
    json += FigureJson(figure);
  }
  return json + "]";
}

}  // namespace ssmd::gpu_bench
