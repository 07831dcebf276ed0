#include "engine/models/mixers/prepare_hippo.h"

#include <cmath>

#include "engine/models/mixers/matrix_math.h"
#include "kernels/ops.h"

namespace ssmd {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr double kPi = 3.14159265358979323846;
constexpr int kNewtonSteps = 10;  // it converges quadratically from within 1e-3

double RootOf(int64_t n) { return std::sqrt(2 * static_cast<double>(n) + 1); }

// P_0(x) … P_count(x).
std::vector<double> LegendreAt(double x, int64_t count) {
  std::vector<double> p = {1, x};
  for (int64_t n = 1; n < count; ++n) {
    const auto degree = static_cast<double>(n);
    const auto i = static_cast<size_t>(n);
    p.push_back(((2 * degree + 1) * x * p[i] - degree * p[i - 1]) / (degree + 1));
  }
  return p;
}

// P_size'(x), inside (−1, 1).
double SlopeAt(double x, int64_t size, const std::vector<double>& p) {
  const auto n = static_cast<size_t>(size);
  return static_cast<double>(size) * (x * p[n] - p[n - 1]) / (x * x - 1);
}

// [a^tokens | a^{tokens−1} b … b].
std::vector<float> StepOfChunk(const MatrixXd& a, const VectorXd& b, int64_t tokens) {
  const Index size = a.rows();
  RowMajor step(size, size + tokens);
  step.leftCols(size) = Power(a, tokens).cast<float>();
  VectorXd reached = b;
  for (Index column = size + tokens - 1; column >= size; --column) {
    step.col(column) = reached.cast<float>();
    reached = a * reached;
  }
  return {step.data(), step.data() + step.size()};
}

// Column `column` of `values` (channels, …) into row `row` of lane blocks of `rows` rows.
void PutLanes(const MatrixXd& values, Index column, int64_t rows, int64_t row,
              std::vector<float>* blocks) {
  for (Index c = 0; c < values.rows(); ++c) {
    const int64_t line = c / kernels::kVectorLanes * rows + row;
    (*blocks)[static_cast<size_t>(line * kernels::kVectorLanes + c % kernels::kVectorLanes)] =
        static_cast<float>(values(c, column));
  }
}

}  // namespace

// [A B; 0 0] · Δ has the exponential [Ā B̄; 0 1] (Van Loan 1978).
LegtStep DiscretiseLegt(int64_t state_size, int64_t window) {
  const auto size = static_cast<Index>(state_size);
  MatrixXd system = MatrixXd::Zero(size + 1, size + 1);
  for (Index n = 0; n < size; ++n) {
    for (Index k = 0; k < size; ++k) {
      const double sign = k <= n || (k - n) % 2 == 0 ? 1 : -1;
      system(n, k) = -RootOf(n) * RootOf(k) * sign / 2;
    }
    system(n, size) = RootOf(n) / 2;
  }
  const MatrixXd step = Exponential(system * (2 / static_cast<double>(window)));
  LegtStep legt;
  for (Index n = 0; n < size; ++n) {
    for (Index k = 0; k < size; ++k) legt.a.push_back(step(n, k));
    legt.b.push_back(step(n, size));
  }
  legt.spectral_radius = SpectralRadius(step.topLeftCorner(size, size));
  return legt;
}

DenseChunk MakeDenseChunk(const std::vector<float>& a, const std::vector<float>& b,
                          const std::vector<float>& output, int64_t tokens) {
  const auto size = static_cast<Index>(b.size());
  const auto channels = static_cast<Index>(output.size() / b.size());
  const MatrixXd decay = Eigen::Map<const RowMajor>(a.data(), size, size).cast<double>();
  const VectorXd input = Eigen::Map<const Eigen::VectorXf>(b.data(), size).cast<double>();
  MatrixXd read = Eigen::Map<const RowMajor>(output.data(), channels, size).cast<double>();
  const auto lanes = static_cast<size_t>(kernels::PaddedLanes(channels) * tokens);
  DenseChunk chunk;
  chunk.step = StepOfChunk(decay, input, tokens);
  chunk.readout.resize(lanes * b.size());
  chunk.taps.resize(lanes);
  for (int64_t t = 0; t < tokens; ++t) {
    PutLanes(read * input, 0, tokens, t, &chunk.taps);
    read = read * decay;
    for (Index n = 0; n < size; ++n) {
      PutLanes(read, n, tokens * size, t * size + n, &chunk.readout);
    }
  }
  return chunk;
}

LegendreRule MakeLegendreRule(int64_t size) {
  LegendreRule rule;
  for (int64_t j = size - 1; j >= 0; --j) {
    double x = std::cos(kPi * (static_cast<double>(j) + 0.75) / (static_cast<double>(size) + 0.5));
    for (int step = 0; step < kNewtonSteps; ++step) {
      const std::vector<double> p = LegendreAt(x, size);
      x -= p[static_cast<size_t>(size)] / SlopeAt(x, size, p);
    }
    const std::vector<double> p = LegendreAt(x, size);
    const double slope = SlopeAt(x, size, p);
    rule.nodes.push_back((1 + x) / 2);
    rule.weights.push_back(1 / ((1 - x * x) * slope * slope));
    for (int64_t n = 0; n < size; ++n) rule.values.push_back(RootOf(n) * p[static_cast<size_t>(n)]);
  }
  return rule;
}

}  // namespace ssmd
