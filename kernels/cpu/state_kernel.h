// States of recurrences, sixteen lanes at a time: from memory in the state's format, and rounded to
// it (state_format.h). A rounded line is in f32 what memory will hold. Include after a vec_*.h.
// Internal linkage.
#ifndef SSMD_KERNELS_CPU_STATE_KERNEL_H_
#define SSMD_KERNELS_CPU_STATE_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"
#include "kernels/state_format.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr float kInfinity = __builtin_inff();

// RoundingWord of 16 elements from `element` on.
inline W16 RoundingWords(uint32_t key, int64_t element) {
  constexpr uint32_t kWeyl = 0x9E3779B9;
  W16 x =
      Multiply(CountFrom(0), kWeyl) + BroadcastWord(key + static_cast<uint32_t>(element) * kWeyl);
  x = Multiply(x ^ ShiftRight<15>(x), 0x2C1B3C6D);
  return x ^ ShiftRight<15>(x);
}

// `magnitude`, with the sign of `v`, where that is finite; else v.
inline F16 WithSign(F16 v, F16 magnitude) {
  const W16 sign = BitsOf(v) & BroadcastWord(0x80000000);
  return SelectGreater(Broadcast(kInfinity), Abs(v), FromBits(sign | BitsOf(magnitude)), v);
}

// The formats: kinds of State.
struct F32State {
  using Element = float;
  static constexpr bool kRounds = false;
  static F16 Read(const Element* p) { return Load(p); }
  static void Write(Element* p, F16 v) { Store(p, v); }
};

struct Bf16State {
  using Element = uint16_t;
  static constexpr bool kRounds = true;
  static F16 Read(const Element* p) { return LoadBf16Line(p); }
  static void Write(Element* p, F16 v) { StoreBf16Line(p, v); }
  static F16 Round(F16 v, W16 words) {
    const W16 sum = (BitsOf(Abs(v)) + ShiftRight<16>(words)) & BroadcastWord(0xFFFF0000);
    return WithSign(v, FromBits(Min(sum, BroadcastWord(0x7F7F0000))));
  }
};

struct HalfState {
  using Element = uint16_t;
  static constexpr bool kRounds = true;
  static F16 Read(const Element* p) { return LoadHalfLine(p); }
  static void Write(Element* p, F16 v) { StoreHalfLine(p, v); }
  static F16 Round(F16 v, W16 words) {
    const F16 magnitude = Abs(v);
    const W16 drawn = ShiftRight<19>(words);
    const W16 sum = (BitsOf(magnitude) + drawn) & BroadcastWord(0xFFFFE000);
    const F16 normal = FromBits(Min(sum, BroadcastWord(0x477FE000)));
    const F16 units = magnitude * Broadcast(0x1p24f) + ToFloat(drawn) * Broadcast(0x1p-13f);
    const F16 small = Floor(units) * Broadcast(0x1p-24f);
    return WithSign(v, SelectGreater(Broadcast(0x1p-14f), magnitude, small, normal));
  }
};

// Calls `op` with the State of these numbers.
template <typename Op>
inline void WithState(StateNumbers numbers, const Op& op) {
  switch (numbers) {
    case StateNumbers::kF32:
      return op(F32State());
    case StateNumbers::kBf16:
      return op(Bf16State());
    case StateNumbers::kF16:
      return op(HalfState());
  }
}

// The state of 16 elements after the token of `key`: `v`, rounded where the format rounds.
template <typename State>
inline F16 Rounded(F16 v, uint32_t key, int64_t element) {
  if constexpr (State::kRounds) {
    return State::Round(v, RoundingWords(key, element));
  } else {
    return v;
  }
}

// Of a share's token.
template <typename State>
inline uint32_t KeyOf(const StateShare& state, int64_t token) {
  return State::kRounds ? RoundingKey(state.position + token, state.layer) : 0;
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_STATE_KERNEL_H_
