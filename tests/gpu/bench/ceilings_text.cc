#include "tests/gpu/bench/ceilings.h"
#include "tests/gpu/bench/text.h"

namespace ssmd::gpu_bench {
namespace {

std::string Line(const char* name, const Spread& spread, const char* unit) {
  return Format("  %-34s%9.2f %-8s (%.2f to %.2f)\n", name, spread.median, unit, spread.lowest,
                spread.highest);
}

}  // namespace

std::string ToText(const Ceilings& c) {
  std::string text = c.gpu + "\n" +
                     Line("copy in its memory, read + written", c.copy_gb_s, "GB/s") +
                     Line("read of its memory", c.read_gb_s, "GB/s") +
                     Line("host to GPU, pinned", c.to_gpu_gb_s, "GB/s") +
                     Line("GPU to host, pinned", c.from_gpu_gb_s, "GB/s") +
                     Line("kernel to kernel in a stream", c.launch_us, "us") +
                     Line("kernel to kernel in a graph", c.boundary_us, "us");
  if (c.matrix_tflop_s.median > 0) {
    text += Line("bf16 products of 8,192 squared", c.matrix_tflop_s, "TFLOP/s");
  }
  if (!c.no_matrix.empty()) text += "  matrix peak: " + c.no_matrix + "\n";
  return text;
}

std::string ToJson(const Spread& spread) {
  return Format(R"({"median":%.6g,"lowest":%.6g,"highest":%.6g,"runs":%d})", spread.median,
                spread.lowest, spread.highest, spread.runs);
}

std::string ToJson(const Ceilings& c) {
  std::string json = R"({"gpu":)" + Quoted(c.gpu);
  const auto add = [&json](const char* name, const Spread& spread) {
    json += std::string(",\"") + name + "\":" + (spread.runs > 0 ? ToJson(spread) : "null");
  };
  add("copy_gb_s", c.copy_gb_s);
  add("read_gb_s", c.read_gb_s);
  add("to_gpu_gb_s", c.to_gpu_gb_s);
  add("from_gpu_gb_s", c.from_gpu_gb_s);
  add("launch_us", c.launch_us);
  add("boundary_us", c.boundary_us);
  add("matrix_tflop_s", c.matrix_tflop_s);
  return json + ",\"matrix_note\":" + Quoted(c.no_matrix) + "}";
}

}  // namespace ssmd::gpu_bench
