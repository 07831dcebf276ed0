// Exponentials and their kin on sixteen lanes, in a fixed sequence of IEEE operations, so that
// every instruction set gives the same bits. Include after a vec_*.h. Internal linkage.
#ifndef SSMD_KERNELS_CPU_VEC_MATH_H_
#define SSMD_KERNELS_CPU_VEC_MATH_H_

#include <cstdint>

namespace ssmd::kernels::cpu {
namespace {

// The first n of 16 lanes from memory, `fill` in the others.
inline F16 LoadPartial(const float* p, int64_t n, float fill) {
  if (n >= kLanes) return Load(p);
  float lanes[kLanes];
  for (int64_t i = 0; i < kLanes; ++i) lanes[i] = i < n ? p[i] : fill;
  return Load(lanes);
}

// Writes the first n lanes.
inline void StorePartial(float* p, F16 v, int64_t n) {
  if (n >= kLanes) {
    Store(p, v);
    return;
  }
  float lanes[kLanes];
  Store(lanes, v);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}

// The first n lanes, and zero in the others.
inline F16 FirstLanes(F16 v, int64_t n) {
  if (n >= kLanes) return v;
  float lanes[kLanes];
  Store(lanes, v);
  return LoadPartial(lanes, n, 0);
}

// e^x as scale · (1 + p), with scale a power of two and |p| <= 0.42. x in [−88, 88], or NaN.
// x = n·ln 2 + r, and e^r = 1 + (r + r²·q(r)), where 2q is 1 + r/3 + …: a minimax polynomial for
// |r| <= ln 2 / 2, good to 2^−33.
struct ExpParts {
  F16 scale, p;
};
inline ExpParts SplitExp(F16 x) {
  // Adding it rounds to an integer in the low bits, which is n + 127: an exponent's.
  const F16 magic = Broadcast(0x1.8p23f + 127.0f);
  const F16 shifted = Fma(x, Broadcast(0x1.715476p+0f), magic);
  const F16 n = shifted - magic;
  // ln 2 in two parts: n times the first is exact.
  F16 r = Fma(n, Broadcast(-0x1.62e4p-1f), x);
  r = Fma(n, Broadcast(-0x1.7f7d1cp-20f), r);
  // Pairs of terms side by side, as the recurrences wait for it.
  const F16 square = r * r;
  const F16 low = Fma(Broadcast(0x1.555554p-3f), r, Broadcast(0.5f));
  const F16 middle = Fma(Broadcast(0x1.111310p-7f), r, Broadcast(0x1.5554e8p-5f));
  const F16 high = Fma(Broadcast(0x1.9df784p-13f), r, Broadcast(0x1.6d4ccap-10f));
  const F16 q = Fma(Fma(high, square, middle), square, low);
  return {ShiftToExponent(shifted), Fma(square, q, r)};
}

// e^x for x <= 88 (larger arguments give e^88); 0 below the normal numbers; NaN for NaN. Under 1
// ulp, and without bias.
inline F16 Exp(F16 x) {
  x = Max(Broadcast(-88.0f), x);
  x = SelectGreater(x, Broadcast(88.0f), Broadcast(88.0f), x);
  const ExpParts e = SplitExp(x);
  return (Broadcast(1.0f) + e.p) * e.scale;
}

// e^x − 1 for x <= 0, with a small relative error down to 0; NaN for NaN.
inline F16 ExpMinus1(F16 x) {
  const ExpParts e = SplitExp(Max(Broadcast(-88.0f), x));
  return Fma(e.scale, e.p, e.scale - Broadcast(1.0f));
}

// log(1 + e) for e in [0, 1], with a small relative error down to 0: 2 atanh(s), s = e / (2 + e).
inline F16 Log1p(F16 e) {
  const F16 s = e / (Broadcast(2.0f) + e);
  const F16 z = s * s;
  F16 q = Broadcast(0x1.f08af8p-4f);
  q = Fma(q, z, Broadcast(0x1.b72bb8p-4f));
  q = Fma(q, z, Broadcast(0x1.250510p-3f));
  q = Fma(q, z, Broadcast(0x1.9996d8p-3f));
  q = Fma(q, z, Broadcast(0x1.555558p-2f));
  const F16 two_s = s + s;
  return Fma(two_s * z, q, two_s);
}

// log(1 + e^x); x itself above 20.
inline F16 Softplus(F16 x) {
  const F16 zero = Broadcast(0.0f);
  const F16 tail = Log1p(Exp(zero - Abs(x)));
  return SelectGreater(x, Broadcast(20.0f), x, Max(zero, x) + tail);
}

// 1 / (1 + e^−x), with an exponential that cannot overflow. Under 3 ulp where that is normal.
inline F16 Sigmoid(F16 x) {
  const F16 one = Broadcast(1.0f);
  const F16 e = Exp(Broadcast(0.0f) - Abs(x));
  const F16 numerator = SelectGreater(Broadcast(0.0f), x, e, one);
  return numerator / (one + e);
}

// x / (1 + e^−x)
inline F16 Silu(F16 x) { return x * Sigmoid(x); }

// (1 − e^−2|x|) / (1 + e^−2|x|) with the sign of x: under 4 ulp, down to the smallest normal x.
inline F16 Tanh(F16 x) {
  const F16 zero = Broadcast(0.0f);
  const F16 t = ExpMinus1(Abs(x) * Broadcast(-2.0f));
  const F16 magnitude = (zero - t) / (Broadcast(2.0f) + t);
  return SelectGreater(zero, x, zero - magnitude, magnitude);
}

// The normal distribution's Φ(x), within 2e-7. The tail beyond a = |x| is e^(−a²/2) · g(u) / (a +
// 4) with u = (a − 4) / (a + 4): g is a minimax polynomial for a <= 13.4, good to 2^−26, and beyond
// that the tail is 0.
inline F16 NormalCdf(F16 x) {
  const F16 most = Broadcast(16.0f);
  F16 a = Abs(x);
  a = SelectGreater(a, most, most, a);
  const F16 inverse = Broadcast(1.0f) / (a + Broadcast(4.0f));
  const F16 u = (a - Broadcast(4.0f)) * inverse;
  F16 g = Broadcast(-0x1.08cf04p-13f);
  g = Fma(g, u, Broadcast(0x1.9255f0p-13f));
  g = Fma(g, u, Broadcast(0x1.9cd7bep-10f));
  g = Fma(g, u, Broadcast(-0x1.cd1b98p-9f));
  g = Fma(g, u, Broadcast(-0x1.ed678ap-8f));
  g = Fma(g, u, Broadcast(0x1.eed556p-5f));
  g = Fma(g, u, Broadcast(-0x1.7dffb8p-3f));
  g = Fma(g, u, Broadcast(0x1.8c6d9cp-2f));
  g = Fma(g, u, Broadcast(-0x1.373e3ap-1f));
  g = Fma(g, u, Broadcast(0x1.82b4bcp-1f));
  const F16 tail = Exp(a * (a * Broadcast(-0.5f))) * (g * inverse);
  return SelectGreater(x, Broadcast(0.0f), Broadcast(1.0f) - tail, tail);
}

// x · Φ(x)
inline F16 Gelu(F16 x) { return Max(Broadcast(-16.0f), x) * NormalCdf(x); }

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_VEC_MATH_H_
