#include "engine/models/matrix_math.h"

#include <cmath>
#include <limits>

namespace ssmd {

using Eigen::MatrixXd;

namespace {

constexpr int kPadeDegree = 13;
constexpr double kPadeNorm = 5.371920351148152;  // up to which it is exact in double

}  // namespace

MatrixXd Power(MatrixXd a, int64_t n) {
  MatrixXd result = MatrixXd::Identity(a.rows(), a.cols());
  for (; n > 0; n /= 2) {
    if (n % 2 == 1) result *= a;
    if (n > 1) a *= a;
  }
  return result;
}

MatrixXd Exponential(const MatrixXd& a) {
  const double norm = a.cwiseAbs().colwise().sum().maxCoeff();
  if (!std::isfinite(norm)) return a * std::numeric_limits<double>::quiet_NaN();
  const int halvings =
      norm > kPadeNorm ? static_cast<int>(std::ceil(std::log2(norm / kPadeNorm))) : 0;
  const MatrixXd scaled = a * std::ldexp(1.0, -halvings);
  // The numerator's terms c_k a^k; the denominator's have the signs of (−1)^k.
  MatrixXd even = MatrixXd::Zero(a.rows(), a.cols());
  MatrixXd odd = even;
  MatrixXd term = MatrixXd::Identity(a.rows(), a.cols());
  for (int k = 0; k <= kPadeDegree; ++k) {
    (k % 2 == 0 ? even : odd) += term;
    const double ratio =
        static_cast<double>(kPadeDegree - k) / static_cast<double>((2 * kPadeDegree - k) * (k + 1));
    term = ratio * (scaled * term);
  }
  MatrixXd result = (even - odd).partialPivLu().solve(even + odd);
  for (int i = 0; i < halvings; ++i) result *= result;
  return result;
}

double SpectralRadius(const MatrixXd& a) {
  const Eigen::EigenSolver<MatrixXd> solver(a, false);
  if (solver.info() != Eigen::Success) return std::numeric_limits<double>::quiet_NaN();
  return solver.eigenvalues().cwiseAbs().maxCoeff();
}

}  // namespace ssmd
