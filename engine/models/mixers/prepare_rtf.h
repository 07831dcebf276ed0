// What RTF (Parnichkun et al. 2024, arXiv:2405.06147) becomes at load time, in double precision:
// the coefficients of kernels::DifferenceScan.
//
// RTF is trained by a kernel of n = trunc_len + (trunc_len mod 2) taps, the inverse FFT of
// b(z)/a(z) + h₀ at n points of the unit circle: the infinite response of b/a, folded modulo n. A
// recurrence whose first n taps are these has the numerator c with (I − Aⁿ)ᵀ c = b, where A is a's
// companion matrix, and the feed-through h₀ + c A^{n−1} e₁. (The paper's own recurrence solves
// (I − A^{trunc_len}) c = b, without the transpose, and gives another kernel.)
#ifndef SSMD_ENGINE_MODELS_MIXERS_PREPARE_RTF_H_
#define SSMD_ENGINE_MODELS_MIXERS_PREPARE_RTF_H_

#include <cstdint>
#include <vector>

namespace ssmd {

// Channels that share a denominator.
struct RtfGroup {
  std::vector<double> a;               // (N): a₁ …
  std::vector<std::vector<double>> b;  // (channels)(N): b₁ …
  std::vector<double> h0;              // (channels)
};

struct RtfRecurrence {
  std::vector<std::vector<double>> numerator;  // (channels)(N)
  std::vector<double> d;                       // (channels)
};
RtfRecurrence UnfoldKernel(const RtfGroup& group, int64_t trunc_len);

// The largest magnitude of a root of zᴺ + a₁ zᴺ⁻¹ + …; NaN where they cannot be found.
double LargestPole(const std::vector<double>& a);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_PREPARE_RTF_H_
