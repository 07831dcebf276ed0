// Memories: samples of a signal, streamed in, kept as coefficients in a basis of functions over the
// past (HiPPO: Gu et al. 2020, arXiv:2008.07669; its Fourier basis: Gu et al. 2022, 2206.12037). No
// weights and no output: the state is the result. In double throughout.
#ifndef SSMD_KERNELS_MEMORY_OPS_H_
#define SSMD_KERNELS_MEMORY_OPS_H_

#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>

#include "kernels/tensor.h"

namespace ssmd::kernels {

inline constexpr int64_t kMaxMemoryChannels = 64;
inline constexpr int64_t kMaxMemoryState = 256;  // N
// Rows of tables are padded to multiples of this, with zeros.
inline constexpr int64_t kMemoryLanes = 8;
inline constexpr int64_t PaddedMemoryState(int64_t n) {
  return (n + kMemoryLanes - 1) / kMemoryLanes * kMemoryLanes;
}

// A sample is a token: an f32, rounded to nearest even to 23 significant bits, whose last bit is
// then zero and left out. So ids are never negative, and below kSampleTokens.
inline constexpr int32_t kSampleTokens = std::numeric_limits<int32_t>::max();
// Nothing for what is not finite, or rounds to infinity.
inline std::optional<int32_t> TokenOfSample(float sample) {
  uint32_t bits = 0;
  std::memcpy(&bits, &sample, sizeof(bits));
  const auto token = static_cast<int32_t>((bits >> 1) + (bits & (bits >> 1) & 1));
  constexpr int32_t kExponent = 0x7f800000 >> 1;
  if ((token & kExponent) == kExponent) return std::nullopt;
  return token;
}
inline float SampleOfToken(int32_t token) {
  const uint32_t bits = static_cast<uint32_t>(token) << 1;
  float sample = 0;
  std::memcpy(&sample, &bits, sizeof(sample));
  return sample;
}

enum class MemoryStep : uint8_t {
  kLegsExact,     // LegS, holding each sample: the projection of all of the held signal
  kLegsBilinear,  // LegS by the trapezoidal rule
  kDense,         // any linear time-invariant basis: c ← a·c + b·u
};

// Coefficients, updated by samples. Channels take turns: the token at position p of a history is
// sample k = p / channels of channel p mod channels, and touches that channel alone. So prompts may
// be cut anywhere, and each token's state is that of stepping token by token.
//
// kLegsExact. The old function f on [0, 1] is squeezed into [0, r], r = k/(k+1), and u takes the
// rest. With the differences g = f(x_j) − u at Gauss–Legendre nodes x_j, weights w_j:
//   c'_n = c_n − (c_n − u·[n = 0])/(k+1) + r Σ_j w_j g_j (p_n(r·x_j) − p_n(x_j)),
//   p_n(x) = √(2n+1) P_n(2x − 1),
// which is exact, as the products have degree below 2N. Differences of polynomials are what a
// three-term recurrence gives, divided by k+1 (E of degree 0 is 0):
//   E_{n+1}(j) = up_n · (2r·x_j − 1) · E_n(j) + shifts_n(j) − down_n · E_{n−1}(j),
//   P_n(2r·x_j − 1) − P_n(2x_j − 1) = E_n(j)/(k+1)
// So each rounding error is one of a change, and they do not add up over a long signal. Sums over j
// are eight runs of every eighth node, ascending, and then halves are added (i and i+4, …).
//
// kLegsBilinear: LegsScan (linear_ops.h) says what it is.
//
// kDense: c'_n = Σ_m a[m][n]·c_m + b_n·u, m ascending from b_n·u.
//
// Nothing is fused, denormals are zero: results are the same wherever double is IEEE's.
struct MemoryScanParams {
  const Segment* segments = nullptr;
  int64_t segment_count = 0;
  const int32_t* token_ids = nullptr;  // (rows): samples
  int64_t channels = 0;                // 1..kMaxMemoryChannels
  int64_t state_size = 0;              // N, 1..kMaxMemoryState
  MemoryStep step = MemoryStep::kLegsExact;
  // kLegsExact: rows of PaddedMemoryState(N).
  const double* nodes = nullptr;
  const double* weights = nullptr;
  const double* values = nullptr;  // (N, …) p_n(x_j)
  const double* shifts = nullptr;  // (N, …) up_n · P_n(2x_j − 1) · (−2x_j)
  const double* up = nullptr;      // (2n+1)/(n+1)
  const double* down = nullptr;    // n/(n+1)
  const double* roots = nullptr;   // √(2n+1); of kLegsBilinear, too
  // kDense: rows of PaddedMemoryState(N).
  const double* a = nullptr;  // (N, …) row m, column n: from coefficient m to n
  const double* b = nullptr;
  StateField coefficients;  // kF64 (channels, N)
  // kF64 (channels, 2): the sum of the squares of all samples, and what rounding took from it
  // (Neumaier's sum).
  StateField energy;
};

// On the calling thread, all pointers being host memory. Work items are channels of segments,
// segment_count · channels in all.
void ScanMemories(const MemoryScanParams& params, int64_t first, int64_t end);

}  // namespace ssmd::kernels

#endif  // SSMD_KERNELS_MEMORY_OPS_H_
