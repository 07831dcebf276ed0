#include "engine/models/mixers/prepare_rtf.h"

#include "engine/models/matrix_math.h"

namespace ssmd {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

VectorXd VectorOf(const std::vector<double>& values) {
  return Eigen::Map<const VectorXd>(values.data(), static_cast<Index>(values.size()));
}

// −a in the first row, below the diagonal ones.
MatrixXd Companion(const std::vector<double>& a) {
  const auto size = static_cast<Index>(a.size());
  MatrixXd matrix = MatrixXd::Zero(size, size);
  matrix.row(0) = -VectorOf(a).transpose();
  for (Index n = 1; n < size; ++n) matrix(n, n - 1) = 1;
  return matrix;
}

}  // namespace

RtfRecurrence UnfoldKernel(const RtfGroup& group, int64_t trunc_len) {
  const int64_t taps = trunc_len + trunc_len % 2;
  const MatrixXd a = Companion(group.a);
  const MatrixXd before = Power(a, taps - 1);
  const MatrixXd left = MatrixXd::Identity(a.rows(), a.cols()) - before * a;
  const Eigen::PartialPivLU<MatrixXd> solver(left.transpose());
  RtfRecurrence recurrence;
  for (size_t channel = 0; channel < group.b.size(); ++channel) {
    const VectorXd c = solver.solve(VectorOf(group.b[channel]));
    recurrence.numerator.emplace_back(c.begin(), c.end());
    recurrence.d.push_back(group.h0[channel] + c.dot(before.col(0)));
  }
  return recurrence;
}

double LargestPole(const std::vector<double>& a) { return SpectralRadius(Companion(a)); }

}  // namespace ssmd
