#include "engine/models/memory_tables.h"

#include <cmath>

#include "engine/models/hippo.h"

namespace ssmd {

MemoryTables::MemoryTables(const MemoryConfig& config) : config_(config) {
  if (config_.basis == MemoryBasis::kLegs) {
    MakeLegs();
  } else {
    MakeWindow();
  }
}

size_t MemoryTables::AddRow(absl::Span<const double> row) {
  const size_t begin = values_.size();
  values_.insert(values_.end(), row.begin(), row.end());
  const auto padded = kernels::PaddedMemoryState(static_cast<int64_t>(row.size()));
  values_.resize(begin + static_cast<size_t>(padded));
  return begin;
}

void MemoryTables::MakeLegs() {
  const auto size = static_cast<size_t>(config_.state_size);
  std::vector<double> up(size);
  std::vector<double> down(size);
  std::vector<double> roots(size);
  for (size_t n = 0; n < size; ++n) {
    const auto degree = static_cast<double>(n);
    up[n] = (2 * degree + 1) / (degree + 1);
    down[n] = degree / (degree + 1);
    roots[n] = std::sqrt(2 * degree + 1);
  }
  up_ = AddRow(up);
  down_ = AddRow(down);
  roots_ = AddRow(roots);
  const GaussLegendre rule(config_.state_size);
  nodes_ = AddRow(rule.nodes);
  weights_ = AddRow(rule.weights);
  std::vector<std::vector<double>> at_nodes;
  for (const double node : rule.nodes) {
    at_nodes.push_back(LegendrePolynomials(node, config_.state_size));
  }
  std::vector<double> row(size);
  basis_ = values_.size();
  for (size_t n = 0; n < size; ++n) {
    for (size_t j = 0; j < size; ++j) row[j] = roots[n] * at_nodes[j][n];
    AddRow(row);
  }
  shifts_ = values_.size();
  for (size_t n = 0; n < size; ++n) {
    for (size_t j = 0; j < size; ++j) row[j] = up[n] * at_nodes[j][n] * (-2 * rule.nodes[j]);
    AddRow(row);
  }
}

void MemoryTables::MakeWindow() {
  const LinearSystem system = config_.basis == MemoryBasis::kLegt
                                  ? LegtSystem(config_.state_size)
                                  : FourierSystem(config_.state_size);
  const LinearSystem step = HoldInput(system, 1.0 / static_cast<double>(config_.window));
  const auto size = static_cast<size_t>(config_.state_size);
  std::vector<double> row(size);
  a_ = values_.size();
  for (size_t m = 0; m < size; ++m) {
    for (size_t n = 0; n < size; ++n) {
      row[n] = step.a(static_cast<Eigen::Index>(n), static_cast<Eigen::Index>(m));
    }
    AddRow(row);
  }
  b_ = AddRow({step.b.data(), size});
}

kernels::MemoryScanParams MemoryTables::ParamsAt(const double* values) const {
  kernels::MemoryScanParams params;
  params.channels = config_.channels;
  params.state_size = config_.state_size;
  if (config_.basis != MemoryBasis::kLegs) {
    params.step = kernels::MemoryStep::kDense;
    params.a = values + a_;
    params.b = values + b_;
    return params;
  }
  params.step =
      config_.bilinear ? kernels::MemoryStep::kLegsBilinear : kernels::MemoryStep::kLegsExact;
  params.nodes = values + nodes_;
  params.weights = values + weights_;
  params.values = values + basis_;
  params.shifts = values + shifts_;
  params.up = values + up_;
  params.down = values + down_;
  params.roots = values + roots_;
  return params;
}

}  // namespace ssmd
