// Small dense linear algebra of load time, in double precision.
#ifndef SSMD_ENGINE_MODELS_MATRIX_MATH_H_
#define SSMD_ENGINE_MODELS_MATRIX_MATH_H_

#include <Eigen/Dense>
#include <cstdint>

namespace ssmd {

// a to the power of n >= 0, by squaring.
Eigen::MatrixXd Power(Eigen::MatrixXd a, int64_t n);

// e^a, by scaling and squaring of the diagonal Padé approximant of degree 13 (Higham 2005, "The
// Scaling and Squaring Method for the Matrix Exponential Revisited").
Eigen::MatrixXd Exponential(const Eigen::MatrixXd& a);

// The largest magnitude of an eigenvalue; NaN where they cannot be found.
double SpectralRadius(const Eigen::MatrixXd& a);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MATRIX_MATH_H_
