#include "engine/models/mixers/prepare_s4.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "engine/models/matrix_math.h"

namespace ssmd {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

// Smaller coefficients of the input than this part of the largest one count as that: the state is
// measured in them.
constexpr double kSmallestInput = 1e-8;

// 2 Re Σ a b, over the stored half.
double TwiceReal(const std::vector<Complex>& a, const std::vector<Complex>& b) {
  double sum = 0;
  for (size_t n = 0; n < a.size(); ++n) sum += 2 * (a[n] * b[n]).real();
  return sum;
}

// The modes as 2 · N/2 real numbers: real parts, then imaginary ones.
VectorXd RealOf(const std::vector<Complex>& values) {
  const auto half = static_cast<Eigen::Index>(values.size());
  VectorXd real(2 * half);
  for (Eigen::Index n = 0; n < half; ++n) {
    real[n] = values[static_cast<size_t>(n)].real();
    real[half + n] = values[static_cast<size_t>(n)].imag();
  }
  return real;
}

// The row r with r · RealOf(x) = 2 Re Σ c x, and back.
VectorXd RowOf(const std::vector<Complex>& c) {
  VectorXd row = 2 * RealOf(c);
  row.tail(row.size() / 2) *= -1;
  return row;
}
std::vector<Complex> OutputOf(const VectorXd& row) {
  const Eigen::Index half = row.size() / 2;
  std::vector<Complex> c;
  for (Eigen::Index n = 0; n < half; ++n) c.emplace_back(row[n] / 2, -row[half + n] / 2);
  return c;
}

// A, on such vectors.
MatrixXd RealMatrix(const std::vector<Complex>& lambda,
                    const std::vector<std::vector<Complex>>& p) {
  const auto half = static_cast<Eigen::Index>(lambda.size());
  MatrixXd a = MatrixXd::Zero(2 * half, 2 * half);
  for (Eigen::Index n = 0; n < half; ++n) {
    const Complex mode = lambda[static_cast<size_t>(n)];
    a(n, n) = a(half + n, half + n) = mode.real();
    a(half + n, n) = mode.imag();
    a(n, half + n) = -mode.imag();
  }
  for (const std::vector<Complex>& row : p) {
    const VectorXd real = RealOf(row);
    a -= 2 * real * real.transpose();
  }
  return a;
}

// (I + P* D P)⁻¹, with D = 1 / (2/Δ − Λ).
MatrixXd Capacitance(const S4Channel& channel, const std::vector<std::vector<Complex>>& scaled) {
  const auto rank = static_cast<Eigen::Index>(channel.p.size());
  MatrixXd inner = MatrixXd::Identity(rank, rank);
  for (Eigen::Index r = 0; r < rank; ++r) {
    std::vector<Complex> conjugate = channel.p[static_cast<size_t>(r)];
    for (Complex& value : conjugate) value = std::conj(value);
    for (Eigen::Index s = 0; s < rank; ++s) {
      inner(r, s) += TwiceReal(conjugate, scaled[static_cast<size_t>(s)]);
    }
  }
  return inner.inverse();
}

// Measures the state in units of `input`, so that the input's coefficient becomes 1.
void Normalise(const std::vector<Complex>& input, ModalChannel* modes) {
  double largest = 0;
  for (const Complex& value : input) largest = std::max(largest, std::abs(value));
  for (size_t n = 0; n < input.size(); ++n) {
    if (largest == 0) {  // nothing ever enters
      modes->output[n] = 0;
      continue;
    }
    const double magnitude = std::abs(input[n]);
    const double least = kSmallestInput * largest;
    const Complex unit = magnitude >= least ? input[n]
                         : magnitude > 0    ? input[n] * (least / magnitude)
                                            : Complex(least);
    modes->output[n] *= unit;
    for (auto& row : modes->coupling_in) row[n] *= unit;
    for (auto& row : modes->coupling_out) row[n] /= unit;
  }
}

}  // namespace

std::vector<Complex> RecoverC(const S4Channel& channel, int64_t length) {
  const MatrixXd a = RealMatrix(channel.lambda, channel.p);
  const MatrixXd one = MatrixXd::Identity(a.rows(), a.cols());
  const MatrixXd half = a * (channel.step / 2);
  const MatrixXd step = (one - half).partialPivLu().solve(one + half);
  const MatrixXd left = (one - Power(step, length)).transpose();
  return OutputOf(left.partialPivLu().solve(RowOf(channel.c)));
}

// With D = 1/(2/Δ − Λ), E = 2/Δ + Λ, K = P* D P, W = (I + K)⁻¹ and n = E x − P P* x + 2B u:
//   x' = D n − D P W P* D n
//      = D E x + 2 D B u − D P σ,   σ = P* x + W (P* D E x − K P* x + 2 P* D B u)
// and as I − W K = W and 1 + D E = (4/Δ) D,
//   σ = W ((4/Δ) P* D x + 2 P* D B u).
ModalChannel ReduceBilinear(const S4Channel& channel) {
  const size_t modes = channel.lambda.size();
  const size_t rank = channel.p.size();
  const double twice_rate = 2 / channel.step;
  ModalChannel reduced;
  std::vector<Complex> below(modes);  // D
  std::vector<Complex> input(modes);  // 2 D B, then less what goes by σ
  for (size_t n = 0; n < modes; ++n) {
    below[n] = 1.0 / (twice_rate - channel.lambda[n]);
    input[n] = 2.0 * below[n] * channel.b[n];
    reduced.decay.push_back(below[n] * (twice_rate + channel.lambda[n]));
    reduced.output.push_back(2.0 * channel.c[n]);
  }
  std::vector<std::vector<Complex>>& out = reduced.coupling_out;  // D P
  out = channel.p;
  for (auto& row : out) {
    for (size_t n = 0; n < modes; ++n) row[n] *= below[n];
  }
  const MatrixXd w = Capacitance(channel, out);
  const std::vector<Complex> before = input;
  for (size_t r = 0; r < rank; ++r) {
    std::vector<Complex> weighted(modes);  // W P*
    for (size_t n = 0; n < modes; ++n) {
      for (size_t s = 0; s < rank; ++s) {
        weighted[n] += w(static_cast<Eigen::Index>(r), static_cast<Eigen::Index>(s)) *
                       std::conj(channel.p[s][n]);
      }
    }
    const double through = TwiceReal(weighted, before);
    for (size_t n = 0; n < modes; ++n) {
      input[n] -= out[r][n] * through;
      weighted[n] *= 2 * (2 * twice_rate) * below[n];
    }
    reduced.coupling_in.push_back(std::move(weighted));
  }
  Normalise(input, &reduced);
  return reduced;
}

S4Eigenbasis FindEigenbasis(const std::vector<Complex>& lambda,
                            const std::vector<std::vector<Complex>>& p) {
  S4Eigenbasis basis;
  basis.condition = std::numeric_limits<double>::infinity();
  const Eigen::EigenSolver<MatrixXd> solver(RealMatrix(lambda, p));
  if (solver.info() != Eigen::Success) return basis;
  const Eigen::MatrixXcd vectors = solver.eigenvectors();
  // Of V* V, whose eigenvalues are the squares of V's singular values: exact enough up to 1e6.
  const VectorXd squares = Eigen::SelfAdjointEigenSolver<Eigen::MatrixXcd>(
                               vectors.adjoint() * vectors, Eigen::EigenvaluesOnly)
                               .eigenvalues();
  if (squares.minCoeff() > 0) {
    basis.condition = std::sqrt(squares.maxCoeff() / squares.minCoeff());
  }
  const Eigen::MatrixXcd inverse = vectors.inverse();
  for (Eigen::Index k = 0; k < vectors.cols(); ++k) {
    const Complex eigenvalue = solver.eigenvalues()[k];
    if (eigenvalue.imag() <= 0) continue;  // the conjugate of another, or alone
    basis.eigenvalues.push_back(eigenvalue);
    basis.columns.emplace_back(vectors.col(k).begin(), vectors.col(k).end());
    basis.rows.emplace_back(inverse.row(k).begin(), inverse.row(k).end());
  }
  return basis;
}

ModalChannel DiagonalBilinear(const S4Channel& channel, const S4Eigenbasis& basis) {
  const VectorXd b = RealOf(channel.b);
  const VectorXd c = RowOf(channel.c);
  ModalChannel modes;
  for (size_t k = 0; k < basis.eigenvalues.size(); ++k) {
    const DiscreteMode mode =
        Discretise(Discretisation::kBilinear, basis.eigenvalues[k], channel.step);
    const Complex input = std::inner_product(b.begin(), b.end(), basis.rows[k].begin(), Complex());
    const Complex output =
        std::inner_product(c.begin(), c.end(), basis.columns[k].begin(), Complex());
    modes.decay.push_back(mode.decay);
    modes.output.push_back(2.0 * output * mode.input * input);
  }
  return modes;
}

}  // namespace ssmd
