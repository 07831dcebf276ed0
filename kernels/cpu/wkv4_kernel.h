// The recurrence of RWKV-4 over some channels of a segment. Lanes are channels. Include after a
// vec_*.h and vec_math.h. Internal linkage.
#ifndef SSMD_KERNELS_CPU_WKV4_KERNEL_H_
#define SSMD_KERNELS_CPU_WKV4_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int64_t kWkv4Channels = 64;  // kChannelBlock of ops.h
constexpr float kNoExponent = -1e30f;

// Sums as mantissas of e^p.
struct Wkv4Sums {
  F16 a, b, p;
};

// Both sums, the old ones' exponent being `p`, with a token of this key and value. Of the two
// exponentials one is always of 0.
inline Wkv4Sums WithToken(const Wkv4Sums& sums, F16 p, F16 key, F16 value) {
  const F16 one = Broadcast(1);
  const F16 ahead = p - key;
  const F16 e = Exp(Broadcast(0) - Abs(ahead));
  const F16 zero = Broadcast(0);
  const F16 old = SelectGreater(ahead, zero, one, e);
  const F16 fresh = SelectGreater(ahead, zero, e, one);
  return {Fma(old, sums.a, fresh * value), Fma(old, sums.b, fresh),
          SelectGreater(ahead, zero, p, key)};
}

// The state of a share, apart from the slots, which may be far from each other.
struct Wkv4State {
  float a[kWkv4Channels], b[kWkv4Channels], p[kWkv4Channels];
};

inline void StepWkv4(const Wkv4Share& s, int64_t t, int64_t c, Wkv4State& state) {
  const int64_t n = s.channels - c;
  const int64_t at = t * s.x_stride + c;
  const F16 k = LoadPartial(s.k + at, n, 0);
  const F16 v = LoadPartial(s.v + at, n, 0);
  const Wkv4Sums sums = {Load(state.a + c), Load(state.b + c), Load(state.p + c)};
  const Wkv4Sums read = WithToken(sums, sums.p, LoadPartial(s.bonus + c, n, 0) + k, v);
  const F16 gate = Sigmoid(LoadPartial(s.r + at, n, 0));
  StorePartial(s.y + t * s.y_stride + c, gate * (read.a / read.b), n);
  const Wkv4Sums next = WithToken(sums, sums.p + LoadPartial(s.decay + c, n, 0), k, v);
  Store(state.a + c, next.a);
  Store(state.b + c, next.b);
  Store(state.p + c, next.p);
}

inline void LoadWkv4State(const Wkv4Share& s, Wkv4State& state) {
  for (int64_t c = 0; c < s.channels; c += kLanes) {
    const int64_t n = s.channels - c;
    Store(state.a + c, s.fresh ? Broadcast(0) : LoadPartial(s.from + c, n, 0));
    Store(state.b + c, s.fresh ? Broadcast(0) : LoadPartial(s.from + s.state_row + c, n, 0));
    Store(state.p + c, s.fresh ? Broadcast(kNoExponent)
                               : LoadPartial(s.from + 2 * s.state_row + c, n, kNoExponent));
  }
}

void Wkv4Scan(const Wkv4Share& s) {
  Wkv4State state;
  LoadWkv4State(s, state);
  for (int64_t t = 0; t < s.length; ++t) {
    for (int64_t c = 0; c < s.channels; c += kLanes) StepWkv4(s, t, c, state);
  }
  for (int64_t c = 0; c < s.channels; c += kLanes) {
    const int64_t n = s.channels - c;
    StorePartial(s.to + c, Load(state.a + c), n);
    StorePartial(s.to + s.state_row + c, Load(state.b + c), n);
    StorePartial(s.to + 2 * s.state_row + c, Load(state.p + c), n);
  }
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_WKV4_KERNEL_H_
