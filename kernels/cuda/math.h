// Exponentials and their kin for one float: operation for operation what cpu/vec_math.h does on
// sixteen lanes, and so the same bits. That file has the reasons.
#ifndef SSMD_KERNELS_CUDA_MATH_H_
#define SSMD_KERNELS_CUDA_MATH_H_

#include "kernels/cuda/simt.h"

namespace ssmd::kernels::cuda {

// b where either is a NaN or both are zero.
SIMT_DEVICE float Larger(float a, float b) { return a > b ? a : b; }

// e^x as scale · (1 + p), with scale a power of two and |p| <= 0.42. x in [−88, 88], or NaN.
struct ExpParts {
  float scale, p;
};
SIMT_DEVICE ExpParts SplitExp(float x) {
  const float magic = 0x1.8p23f + 127.0f;
  const float shifted = Fma(x, 0x1.715476p+0f, magic);
  const float n = shifted - magic;
  float r = Fma(n, -0x1.62e4p-1f, x);
  r = Fma(n, -0x1.7f7d1cp-20f, r);
  const float square = r * r;
  const float low = Fma(0x1.555554p-3f, r, 0.5f);
  const float middle = Fma(0x1.111310p-7f, r, 0x1.5554e8p-5f);
  const float high = Fma(0x1.9df784p-13f, r, 0x1.6d4ccap-10f);
  const float q = Fma(Fma(high, square, middle), square, low);
  return {FloatOf(BitsOf(shifted) << 23), Fma(square, q, r)};
}

// e^x for x <= 88 (larger arguments give e^88); 0 below the normal numbers; NaN for NaN.
SIMT_DEVICE float Exp(float x) {
  x = Larger(-88.0f, x);
  x = x > 88.0f ? 88.0f : x;
  const ExpParts e = SplitExp(x);
  return (1.0f + e.p) * e.scale;
}

// e^x − 1 for x <= 0, with a small relative error down to 0; NaN for NaN.
SIMT_DEVICE float ExpMinus1(float x) {
  const ExpParts e = SplitExp(Larger(-88.0f, x));
  return Fma(e.scale, e.p, e.scale - 1.0f);
}

// log(1 + e) for e in [0, 1], with a small relative error down to 0.
SIMT_DEVICE float Log1p(float e) {
  const float s = Divide(e, 2.0f + e);
  const float z = s * s;
  float q = 0x1.f08af8p-4f;
  q = Fma(q, z, 0x1.b72bb8p-4f);
  q = Fma(q, z, 0x1.250510p-3f);
  q = Fma(q, z, 0x1.9996d8p-3f);
  q = Fma(q, z, 0x1.555558p-2f);
  const float two_s = s + s;
  return Fma(two_s * z, q, two_s);
}

// log(1 + e^x); x itself above 20.
SIMT_DEVICE float Softplus(float x) {
  const float tail = Log1p(Exp(0.0f - Abs(x)));
  return x > 20.0f ? x : Larger(0.0f, x) + tail;
}

// 1 / (1 + e^−x), with an exponential that cannot overflow.
SIMT_DEVICE float Sigmoid(float x) {
  const float e = Exp(0.0f - Abs(x));
  const float numerator = 0.0f > x ? e : 1.0f;
  return Divide(numerator, 1.0f + e);
}

// x / (1 + e^−x)
SIMT_DEVICE float Silu(float x) { return x * Sigmoid(x); }

SIMT_DEVICE float Tanh(float x) {
  const float t = ExpMinus1(Abs(x) * -2.0f);
  const float magnitude = Divide(0.0f - t, 2.0f + t);
  return 0.0f > x ? 0.0f - magnitude : magnitude;
}

// The normal distribution's Φ(x).
SIMT_DEVICE float NormalCdf(float x) {
  float a = Abs(x);
  a = a > 16.0f ? 16.0f : a;
  const float inverse = Divide(1.0f, a + 4.0f);
  const float u = (a - 4.0f) * inverse;
  float g = -0x1.08cf04p-13f;
  g = Fma(g, u, 0x1.9255f0p-13f);
  g = Fma(g, u, 0x1.9cd7bep-10f);
  g = Fma(g, u, -0x1.cd1b98p-9f);
  g = Fma(g, u, -0x1.ed678ap-8f);
  g = Fma(g, u, 0x1.eed556p-5f);
  g = Fma(g, u, -0x1.7dffb8p-3f);
  g = Fma(g, u, 0x1.8c6d9cp-2f);
  g = Fma(g, u, -0x1.373e3ap-1f);
  g = Fma(g, u, 0x1.82b4bcp-1f);
  const float tail = Exp(a * (a * -0.5f)) * (g * inverse);
  return x > 0.0f ? 1.0f - tail : tail;
}

// x · Φ(x)
SIMT_DEVICE float Gelu(float x) { return Larger(-16.0f, x) * NormalCdf(x); }

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_MATH_H_
