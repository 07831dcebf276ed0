// The mathematics of HiPPO (Gu et al. 2020, arXiv:2008.07669): bases of functions on [0, 1], which
// stands for the part of the past that a memory covers, oldest first, and the linear systems that
// keep a signal's coefficients in them: for memories and for the mixers of that name. Double
// precision; pure functions.
#ifndef SSMD_ENGINE_MODELS_HIPPO_H_
#define SSMD_ENGINE_MODELS_HIPPO_H_

#include <Eigen/Dense>
#include <cstdint>
#include <vector>

namespace ssmd {

// x' = a·x + b·u
struct LinearSystem {
  Eigen::MatrixXd a;
  Eigen::VectorXd b;
};

// Nodes and weights on [0, 1], exact for polynomials of degree below 2n. n >= 1.
struct GaussLegendre {
  explicit GaussLegendre(int64_t n);
  std::vector<double> nodes;  // ascending
  std::vector<double> weights;
};

// Legendre polynomials of degree 0 … n − 1 at 2x − 1, with P(1) = 1.
std::vector<double> LegendrePolynomials(double x, int64_t n);
// The same, orthonormal on [0, 1]: times √(2·degree + 1).
std::vector<double> NormalisedLegendre(double x, int64_t n);
// 1, √2 cos 2πx, √2 sin 2πx, √2 cos 4πx, …: orthonormal on [0, 1].
std::vector<double> FourierFunctions(double x, int64_t n);

// Coefficients of the last 1 of time: in Legendre polynomials (LegT; HiPPO's own code halves its
// matrices, so that its window is 2), and in Fourier functions of the age (FouT): n is odd, for a
// cosine without its sine does not turn, and would be taken for a part of the mean.
LinearSystem LegtSystem(int64_t n);
LinearSystem FourierSystem(int64_t n);

// The system's step over `time`, through which u is held: x ← a·x + b·u.
LinearSystem HoldInput(const LinearSystem& system, double time);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_HIPPO_H_
