#include "tests/gpu/bench/shapes.h"

namespace ssmd::gpu_bench {
namespace {

const Shape kShapes[] = {{"mamba-2.8b", false, 2560, 64, 50280},
                         {"mamba2-2.7b", true, 2560, 64, 50288},
                         {"mamba-130m", false, 768, 24, 50280},
                         {"mamba2-130m", true, 768, 24, 50288},
                         {"tiny", false, 64, 2, 256},
                         {"tiny2", true, 64, 2, 256}};

}  // namespace

std::vector<std::string> ShapeNames() {
  std::vector<std::string> names;
  for (const Shape& shape : kShapes) names.push_back(shape.name);
  return names;
}

std::optional<Shape> ShapeNamed(const std::string& name) {
  const size_t plus = name.find('+');
  const auto state = plus == std::string::npos ? kernels::StateFormat::kF32
                                               : kernels::ParseStateFormat(name.substr(plus + 1));
  if (!state) return std::nullopt;
  for (Shape shape : kShapes) {
    if (shape.name != name.substr(0, plus)) continue;
    shape.name = name;
    shape.state = *state;
    return shape;
  }
  return std::nullopt;
}

std::string Load::name() const {
  const std::string count = std::to_string(sessions);
  return decodes() ? count : count + "x" + std::to_string(tokens);
}

}  // namespace ssmd::gpu_bench
