// Sixteen f32 lanes in plain C++: what vec_avx2.h and vec_avx512.h do in registers, and the
// definition of it. Fused multiply-add is std::fma, which is exact everywhere (and slow where the
// CPU has no such instruction: this is the fallback).
//
// Included by kernels_scalar.cc alone.
#ifndef SSMD_KERNELS_CPU_VEC_SCALAR_H_
#define SSMD_KERNELS_CPU_VEC_SCALAR_H_

#include <cmath>
#include <cstdint>
#include <cstring>

namespace ssmd::kernels::cpu {
namespace {

constexpr int kLanes = 16;

// Shape of the matrix product's tiles, in rows × panels of 16 outputs: where there are many rows,
// and where there are no more than kLowTileRows.
constexpr int kTileRows = 2, kTilePanels = 2;
constexpr int kLowTileRows = 1, kLowTilePanels = 2;

struct F16 {
  float lane[kLanes];
};
struct W16 {
  uint32_t lane[kLanes];
};
struct D16 {
  double lane[kLanes];
};
// Half as many lanes in double.
constexpr int kDoubleLanes = 8;
struct D8 {
  double lane[kDoubleLanes];
};

template <typename Op>
F16 EachLane(const Op& op) {
  F16 out;
  for (int i = 0; i < kLanes; ++i) out.lane[i] = op(i);
  return out;
}

template <typename Op>
W16 EachWord(const Op& op) {
  W16 out;
  for (int i = 0; i < kLanes; ++i) out.lane[i] = op(i);
  return out;
}

inline F16 Load(const float* p) {
  return EachLane([p](int i) { return p[i]; });
}
inline void Store(float* p, const F16& v) { std::memcpy(p, v.lane, sizeof(v.lane)); }
inline F16 Broadcast(float x) {
  return EachLane([x](int) { return x; });
}
inline void Prefetch(const void* /*p*/) {}

inline F16 operator+(const F16& a, const F16& b) {
  return EachLane([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline F16 operator-(const F16& a, const F16& b) {
  return EachLane([&](int i) { return a.lane[i] - b.lane[i]; });
}
inline F16 operator*(const F16& a, const F16& b) {
  return EachLane([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline F16 operator/(const F16& a, const F16& b) {
  return EachLane([&](int i) { return a.lane[i] / b.lane[i]; });
}
// a·b + c, rounded once.
inline F16 Fma(const F16& a, const F16& b, const F16& c) {
  return EachLane([&](int i) { return std::fma(a.lane[i], b.lane[i], c.lane[i]); });
}
// c − a·b, rounded once.
inline F16 NegatedFma(const F16& a, const F16& b, const F16& c) {
  return EachLane([&](int i) { return std::fma(-a.lane[i], b.lane[i], c.lane[i]); });
}
// b where either is a NaN or both are zero: what maxps does.
inline F16 Max(const F16& a, const F16& b) {
  return EachLane([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline F16 Abs(const F16& a) {
  return EachLane([&](int i) { return std::fabs(a.lane[i]); });
}
// a > b ? yes : no
inline F16 SelectGreater(const F16& a, const F16& b, const F16& yes, const F16& no) {
  return EachLane([&](int i) { return a.lane[i] > b.lane[i] ? yes.lane[i] : no.lane[i]; });
}
// Bit i: a > b in lane i.
inline uint32_t MaskGreater(const F16& a, const F16& b) {
  uint32_t mask = 0;
  for (int i = 0; i < kLanes; ++i) mask |= uint32_t{a.lane[i] > b.lane[i]} << i;
  return mask;
}
// Lanes 1, 0, 3, 2, …
inline F16 SwapPairs(const F16& a) {
  return EachLane([&](int i) { return a.lane[i ^ 1]; });
}
// 2^n for a = n + 127 + 1.5·2^23, with n in [−127, 127]; 2^−127 is 0.
inline F16 ShiftToExponent(const F16& a) {
  return EachLane([&](int i) {
    uint32_t bits;
    std::memcpy(&bits, &a.lane[i], sizeof(bits));
    bits <<= 23;
    float power;
    std::memcpy(&power, &bits, sizeof(power));
    return power;
  });
}

// The 16 outputs of the first input (kHigh: the second) of a line in bf16 (pack.h).
template <bool kHigh>
F16 LoadBf16(const uint16_t* line) {
  return EachLane([line](int i) {
    const uint32_t bits = uint32_t{line[2 * i + (kHigh ? 1 : 0)]} << 16;
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  });
}

inline D16 ZeroDouble() { return D16{}; }
inline void AddWidened(const F16& v, D16& sum) {
  for (int i = 0; i < kLanes; ++i) sum.lane[i] += static_cast<double>(v.lane[i]);
}
inline void Store(double* p, const D16& v) { std::memcpy(p, v.lane, sizeof(v.lane)); }

template <typename Op>
D8 EachDouble(const Op& op) {
  D8 out;
  for (int i = 0; i < kDoubleLanes; ++i) out.lane[i] = op(i);
  return out;
}
inline D8 Load(const double* p) {
  return EachDouble([p](int i) { return p[i]; });
}
inline void Store(double* p, const D8& v) { std::memcpy(p, v.lane, sizeof(v.lane)); }
inline D8 BroadcastDouble(double x) {
  return EachDouble([x](int) { return x; });
}
// Of eight f32, and back, to nearest.
inline D8 LoadWidened(const float* p) {
  return EachDouble([p](int i) { return static_cast<double>(p[i]); });
}
inline void StoreNarrowed(float* p, const D8& v) {
  for (int i = 0; i < kDoubleLanes; ++i) p[i] = static_cast<float>(v.lane[i]);
}
inline D8 operator*(const D8& a, const D8& b) {
  return EachDouble([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline D8 Fma(const D8& a, const D8& b, const D8& c) {
  return EachDouble([&](int i) { return std::fma(a.lane[i], b.lane[i], c.lane[i]); });
}
inline D8 NegatedFma(const D8& a, const D8& b, const D8& c) {
  return EachDouble([&](int i) { return std::fma(-a.lane[i], b.lane[i], c.lane[i]); });
}

inline W16 BroadcastWord(uint32_t x) {
  W16 out;
  for (uint32_t& lane : out.lane) lane = x;
  return out;
}
// first, first + 1, …
inline W16 CountFrom(uint32_t first) {
  W16 out;
  for (uint32_t i = 0; i < kLanes; ++i) out.lane[i] = first + i;
  return out;
}
inline W16 operator^(const W16& a, const W16& b) {
  W16 out;
  for (int i = 0; i < kLanes; ++i) out.lane[i] = a.lane[i] ^ b.lane[i];
  return out;
}
inline void MultiplyWide(const W16& a, uint32_t b, W16& high, W16& low) {
  for (int i = 0; i < kLanes; ++i) {
    const uint64_t product = uint64_t{a.lane[i]} * b;
    high.lane[i] = static_cast<uint32_t>(product >> 32);
    low.lane[i] = static_cast<uint32_t>(product);
  }
}
inline W16 operator+(const W16& a, const W16& b) {
  return EachWord([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline W16 operator&(const W16& a, const W16& b) {
  return EachWord([&](int i) { return a.lane[i] & b.lane[i]; });
}
inline W16 operator|(const W16& a, const W16& b) {
  return EachWord([&](int i) { return a.lane[i] | b.lane[i]; });
}
template <int kBits>
W16 ShiftRight(const W16& a) {
  return EachWord([&](int i) { return a.lane[i] >> kBits; });
}
// The low half of each product.
inline W16 Multiply(const W16& a, uint32_t b) {
  return EachWord([&](int i) { return a.lane[i] * b; });
}
inline W16 Min(const W16& a, const W16& b) {
  return EachWord([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline W16 BitsOf(const F16& a) {
  W16 out;
  std::memcpy(out.lane, a.lane, sizeof(out.lane));
  return out;
}
inline F16 FromBits(const W16& a) {
  F16 out;
  std::memcpy(out.lane, a.lane, sizeof(out.lane));
  return out;
}
// A number of a word below 2^31.
inline F16 ToFloat(const W16& a) {
  return EachLane([&](int i) { return static_cast<float>(a.lane[i]); });
}
// Rounded down; of lanes in [0, 2^31).
inline F16 Floor(const F16& a) {
  return EachLane([&](int i) { return static_cast<float>(static_cast<int32_t>(a.lane[i])); });
}

// Of 16 numbers side by side in 16 bits, and back, where they fit without rounding.
inline F16 LoadBf16Line(const uint16_t* p) {
  return FromBits(EachWord([p](int i) { return uint32_t{p[i]} << 16; }));
}
inline void StoreBf16Line(uint16_t* p, const F16& v) {
  const W16 bits = BitsOf(v);
  for (int i = 0; i < kLanes; ++i) p[i] = static_cast<uint16_t>(bits.lane[i] >> 16);
}
inline F16 LoadHalfLine(const uint16_t* p) {
  return EachLane([p](int i) {
    const uint32_t exponent = p[i] >> 10 & 0x1F;
    const uint32_t mantissa = p[i] & 0x3FF;
    const float small = static_cast<float>(mantissa) * 0x1p-24f;
    uint32_t bits;
    std::memcpy(&bits, &small, sizeof(bits));
    if (exponent > 0) bits = (exponent + (exponent == 0x1F ? 224 : 112)) << 23 | mantissa << 13;
    bits |= uint32_t{p[i]} >> 15 << 31;
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  });
}
inline void StoreHalfLine(uint16_t* p, const F16& v) {
  const W16 bits = BitsOf(v);
  for (int i = 0; i < kLanes; ++i) {
    const uint32_t magnitude = bits.lane[i] & 0x7FFFFFFF;
    uint32_t half = (magnitude - (112u << 23)) >> 13;
    if (magnitude < 0x38800000) half = static_cast<uint32_t>(std::fabs(v.lane[i]) * 0x1p24f);
    if (magnitude >= 0x7F800000) half = 0x7C00 | (magnitude >> 13 & 0x3FF);
    p[i] = static_cast<uint16_t>((bits.lane[i] >> 16 & 0x8000) | half);
  }
}
// The upper 24 bits as a number.
inline F16 Upper24(const W16& a) {
  return EachLane([&](int i) { return static_cast<float>(a.lane[i] >> 8); });
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_VEC_SCALAR_H_
