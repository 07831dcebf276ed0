// Arithmetic in double as cpu/ does it, where denormals are zero: in double no GPU has that by
// itself.
#ifndef SSMD_KERNELS_CUDA_DOUBLE_MATH_H_
#define SSMD_KERNELS_CUDA_DOUBLE_MATH_H_

#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda {

// A result below the normal numbers is zero, of its sign.
SIMT_DEVICE double NormalOrZero(double x) {
  const uint64_t bits = BitsOf(x);
  constexpr uint64_t kSign = uint64_t{1} << 63;
  constexpr uint64_t kSmallestNormal = uint64_t{1} << 52;
  return (bits & ~kSign) < kSmallestNormal ? DoubleOf(bits & kSign) : x;
}

// Each of whose results is so.
struct FlushedDouble {
  FlushedDouble() = default;
  SIMT_DEVICE FlushedDouble(double x) : value(x) {}  // NOLINT: meant to be implicit

  SIMT_DEVICE FlushedDouble& operator+=(FlushedDouble other);
  SIMT_DEVICE FlushedDouble& operator-=(FlushedDouble other);

  double value;
};
SIMT_DEVICE FlushedDouble operator+(FlushedDouble a, FlushedDouble b) {
  return NormalOrZero(a.value + b.value);
}
SIMT_DEVICE FlushedDouble operator-(FlushedDouble a, FlushedDouble b) {
  return NormalOrZero(a.value - b.value);
}
SIMT_DEVICE FlushedDouble operator*(FlushedDouble a, FlushedDouble b) {
  return NormalOrZero(a.value * b.value);
}
SIMT_DEVICE FlushedDouble operator/(FlushedDouble a, FlushedDouble b) {
  return NormalOrZero(a.value / b.value);
}
SIMT_DEVICE FlushedDouble& FlushedDouble::operator+=(FlushedDouble other) {
  return *this = *this + other;
}
SIMT_DEVICE FlushedDouble& FlushedDouble::operator-=(FlushedDouble other) {
  return *this = *this - other;
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_DOUBLE_MATH_H_
