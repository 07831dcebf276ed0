// Rotation of pairs of columns by an angle that grows with the position, over the heads of a row.
// Include after a vec_*.h and vec_math.h. Internal linkage.
#ifndef SSMD_KERNELS_CPU_ROTATE_KERNEL_H_
#define SSMD_KERNELS_CPU_ROTATE_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace ssmd::kernels::cpu {
namespace {

// Columns whose angles are made together, before the heads take them one after the other.
constexpr int64_t kRotatedColumns = 64;

struct Rotation {
  double cosine, sine;
};

// Of an angle below 2^50, within 1e-11 and what rounding the angle costs: half of it is brought to
// [−π/2, π/2], where Taylor series to the 16th and 17th order do.
inline Rotation RotationBy(double angle) {
  // Adding it rounds to an integer.
  const double magic = 0x1.8p52;
  const double n = __builtin_fma(angle, 0x1.45f306dc9c883p-3, magic) - magic;  // 1 / 2π
  // π in two parts.
  double half = __builtin_fma(n, -0x1.921fb54442d18p+1, angle * 0.5);
  half = __builtin_fma(n, -0x1.1a62633145c07p-53, half);
  const double square = half * half;
  double s = 1.0 / 355687428096000;
  s = __builtin_fma(s, square, -1.0 / 1307674368000);
  s = __builtin_fma(s, square, 1.0 / 6227020800);
  s = __builtin_fma(s, square, -1.0 / 39916800);
  s = __builtin_fma(s, square, 1.0 / 362880);
  s = __builtin_fma(s, square, -1.0 / 5040);
  s = __builtin_fma(s, square, 1.0 / 120);
  s = __builtin_fma(s, square, -1.0 / 6);
  const double sine = __builtin_fma(s * square, half, half);
  double c = 1.0 / 20922789888000;
  c = __builtin_fma(c, square, -1.0 / 87178291200);
  c = __builtin_fma(c, square, 1.0 / 479001600);
  c = __builtin_fma(c, square, -1.0 / 3628800);
  c = __builtin_fma(c, square, 1.0 / 40320);
  c = __builtin_fma(c, square, -1.0 / 720);
  c = __builtin_fma(c, square, 1.0 / 24);
  c = __builtin_fma(c, square, -0.5);
  const double cosine = __builtin_fma(c, square, 1.0);
  return {__builtin_fma(sine * -2.0, sine, 1.0), sine * cosine * 2.0};
}

// Factors of the columns of some pairs, the first of which has `frequencies`; in whole lines of 16.
struct RotationFactors {
  float own[kRotatedColumns];
  float other[kRotatedColumns];  // of the pair's other column
};
inline void FindFactors(const RotateRow& row, const double* frequencies, int64_t pairs,
                        RotationFactors& factors) {
  const auto position = static_cast<double>(row.position);
  const double scale = static_cast<double>(row.scale);
  const int64_t lines = (2 * pairs + kLanes - 1) / kLanes;
  for (int64_t i = 0; i < lines * kLanes / 2; ++i) {
    const Rotation rotation = RotationBy(i < pairs ? position * frequencies[i] : 0.0);
    factors.own[2 * i] = factors.own[2 * i + 1] = static_cast<float>(scale * rotation.cosine);
    factors.other[2 * i] = static_cast<float>(-scale * rotation.sine);
    factors.other[2 * i + 1] = static_cast<float>(scale * rotation.sine);
  }
}

void RotateHeads(const RotateRow& row) {
  RotationFactors factors;
  for (int64_t first = 0; first < row.head_dim; first += kRotatedColumns) {
    const int64_t left = row.head_dim - first;
    const int64_t columns = left < kRotatedColumns ? left : kRotatedColumns;
    FindFactors(row, row.frequencies + first / 2, columns / 2, factors);
    for (int64_t head = 0; head < row.heads; ++head) {
      float* x = row.x + head * row.head_dim + first;
      for (int64_t c = 0; c < columns; c += kLanes) {
        const F16 value = LoadPartial(x + c, columns - c, 0);
        const F16 crossed = SwapPairs(value) * Load(factors.other + c);
        StorePartial(x + c, Fma(value, Load(factors.own + c), crossed), columns - c);
      }
    }
  }
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_ROTATE_KERNEL_H_
