// What a channel of S4 (Gu et al. 2022, arXiv:2111.00396) becomes at load time, in double
// precision: the coefficients of kernels::ModalScan.
//
// Of the N modes of A = Λ − P P* half are stored; the others are their conjugates. Inner products
// run over both, and so are twice the real part of those over the stored half.
#ifndef SSMD_ENGINE_MODELS_MIXERS_PREPARE_S4_H_
#define SSMD_ENGINE_MODELS_MIXERS_PREPARE_S4_H_

#include <cstdint>
#include <vector>

#include "engine/models/mixers/discretise.h"

namespace ssmd {

// As files have it, exponentials taken.
struct S4Channel {
  std::vector<Complex> lambda;          // (N/2)
  std::vector<std::vector<Complex>> p;  // (rank)(N/2)
  std::vector<Complex> b;               // (N/2)
  std::vector<Complex> c;               // (N/2)
  double step = 0;                      // Δ
};

// A channel of kernels::ModalScan.
struct ModalChannel {
  std::vector<Complex> decay;                      // (modes)
  std::vector<Complex> output;                     // (modes)
  std::vector<std::vector<Complex>> coupling_in;   // (rank)(modes)
  std::vector<std::vector<Complex>> coupling_out;  // (rank)(modes)
};

// C, where `c` is C̃ = (I − Ā^length)ᵀ C: training with kernels of that length folds into it what
// comes after their end. Ā is that of the bilinear rule.
std::vector<Complex> RecoverC(const S4Channel& channel, int64_t length);

// The bilinear step (2/Δ − A) x' = (2/Δ + A) x + 2B u, its inverse by Woodbury's identity: diagonal
// but for the rank of P.
ModalChannel ReduceBilinear(const S4Channel& channel);

// A's eigenvectors, in whose basis nothing is coupled. That basis can be so skewed that little is
// left of single precision (at HiPPO's own matrices nothing is), so whoever uses it looks at
// `condition` first. All channels with one Λ and P share it.
struct S4Eigenbasis {
  std::vector<Complex> eigenvalues;  // one of each conjugate pair: N/2 where all are in pairs
  // Of each of these: its column of V, and its row of V⁻¹, both over real and imaginary parts.
  std::vector<std::vector<Complex>> columns;  // (N/2)(N)
  std::vector<std::vector<Complex>> rows;     // (N/2)(N)
  double condition = 0;                       // of V; infinite where there is no such basis
};
S4Eigenbasis FindEigenbasis(const std::vector<Complex>& lambda,
                            const std::vector<std::vector<Complex>>& p);

// The bilinear step in that basis: a channel of rank 0. REQUIRES: N/2 eigenvalues.
ModalChannel DiagonalBilinear(const S4Channel& channel, const S4Eigenbasis& basis);

// The largest condition that a step in single precision is trusted with: it costs three of the
// seven digits.
inline constexpr double kMaxEigenvectorCondition = 1e3;

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_PREPARE_S4_H_
