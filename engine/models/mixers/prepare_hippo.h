// What the HiPPO layers (Gu et al. 2020, arXiv:2008.07669) need, in double precision.
#ifndef SSMD_ENGINE_MODELS_MIXERS_PREPARE_HIPPO_H_
#define SSMD_ENGINE_MODELS_MIXERS_PREPARE_HIPPO_H_

#include <cstdint>
#include <vector>

namespace ssmd {

// LegT: the coefficients of the last `window` samples in normalised Legendre polynomials, held
// samples (ZOH). The system is that of HiPPO's code, halved there,
//   A[n][k] = −½ √((2n+1)(2k+1)) · (k <= n ? 1 : (−1)^{n−k}),   B[n] = ½ √(2n+1)
// whose window is 2: so a step is 2 / window, not 1 / window.
struct LegtStep {
  std::vector<double> a;       // (N, N)
  std::vector<double> b;       // (N)
  double spectral_radius = 0;  // of a; below 1, but for rounding
};
LegtStep DiscretiseLegt(int64_t state_size, int64_t window);

// What the chunked form of kernels::DenseScan takes chunks of so many tokens by, of the system as
// the kernel has it: (N, N) a, (N) b and (channels, N) output. By powers in double precision.
struct DenseChunk {
  std::vector<float> step;     // (N, N + tokens)
  std::vector<float> readout;  // lane blocks (tokens, N)
  std::vector<float> taps;     // lane blocks (tokens)
};
DenseChunk MakeDenseChunk(const std::vector<float>& a, const std::vector<float>& b,
                          const std::vector<float>& output, int64_t tokens);

// The rule of kernels::LegsScan's exact step: Gauss–Legendre nodes and weights on [0, 1], and the
// normalised polynomials there.
struct LegendreRule {
  std::vector<double> nodes;    // (N)
  std::vector<double> weights;  // (N)
  std::vector<double> values;   // (N, N): values[j][n] = √(2n+1) P_n(2 node_j − 1)
};
LegendreRule MakeLegendreRule(int64_t size);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_PREPARE_HIPPO_H_
