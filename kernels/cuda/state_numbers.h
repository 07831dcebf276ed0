// The formats of states (kernels/state_format.h, whose bits these functions give): reading and
// writing one number or four side by side, and the rounding after a token. Kernels over states are
// templates of one of these types.
#ifndef SSMD_KERNELS_CUDA_STATE_NUMBERS_H_
#define SSMD_KERNELS_CUDA_STATE_NUMBERS_H_

#include "kernels/cuda/simt.h"
#include "kernels/cuda/vectors.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda {

SIMT_DEVICE uint32_t StateKey(int64_t position, uint32_t layer) {
  uint64_t x = static_cast<uint64_t>(position) + (uint64_t{layer} << 40) + 0x9E3779B97F4A7C15;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
  x = (x ^ x >> 27) * 0x94D049BB133111EB;
  return static_cast<uint32_t>((x ^ x >> 31) >> 32);
}
// What StateWord takes of an element's place in a layout.
SIMT_DEVICE uint32_t ElementOf(int64_t at) { return static_cast<uint32_t>(at); }
SIMT_DEVICE uint32_t StateWord(uint32_t key, uint32_t element) {
  uint32_t x = key + element * 0x9E3779B9;
  x = (x ^ x >> 15) * 0x2C1B3C6D;
  return x ^ x >> 15;
}

// A value with the sign of `value` where that is finite; else `value`.
SIMT_DEVICE float StateOfSign(float value, uint32_t magnitude) {
  const uint32_t bits = BitsOf(value);
  return (bits & 0x7FFFFFFF) < 0x7F800000 ? FloatOf((bits & 0x80000000) | magnitude) : value;
}
SIMT_DEVICE uint32_t Smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

struct F32State {
  using Element = float;
  static constexpr bool kRounds = false;
  SIMT_DEVICE static float Read(const Element* from) { return *from; }
  SIMT_DEVICE static void Write(Element* to, float v) { *to = v; }
  SIMT_DEVICE static Floats4 Read4(const Element* from) { return Load4(from); }
  SIMT_DEVICE static void Write4(Element* to, const Floats4& v) { Store4(to, v); }
  SIMT_DEVICE static float Round(float v, uint32_t /*word*/) { return v; }
};

// Of the types in 16 bits: four numbers are two words.
template <typename Numbers>
struct NarrowState {
  using Element = uint16_t;
  static constexpr bool kRounds = true;
  SIMT_DEVICE static float Read(const Element* from) { return Numbers::Widen(*from); }
  SIMT_DEVICE static void Write(Element* to, float v) { *to = Numbers::Narrow(v); }
  SIMT_DEVICE static Floats4 Read4(const Element* from) {
    const Words2 w = *reinterpret_cast<const Words2*>(from);
    return {Numbers::Widen(static_cast<uint16_t>(w.x)),
            Numbers::Widen(static_cast<uint16_t>(w.x >> 16)),
            Numbers::Widen(static_cast<uint16_t>(w.y)),
            Numbers::Widen(static_cast<uint16_t>(w.y >> 16))};
  }
  SIMT_DEVICE static void Write4(Element* to, const Floats4& v) {
    const auto pair = [](float low, float high) {
      return uint32_t{Numbers::Narrow(low)} | uint32_t{Numbers::Narrow(high)} << 16;
    };
    *reinterpret_cast<Words2*>(to) = {pair(v.x, v.y), pair(v.z, v.w)};
  }
};

// Round gives what Write keeps as it is.
struct Bf16State : NarrowState<Bf16State> {
  SIMT_DEVICE static float Widen(uint16_t bits) { return FloatOf(uint32_t{bits} << 16); }
  SIMT_DEVICE static uint16_t Narrow(float v) { return static_cast<uint16_t>(BitsOf(v) >> 16); }
  SIMT_DEVICE static float Round(float v, uint32_t word) {
    const uint32_t sum = ((BitsOf(v) & 0x7FFFFFFF) + (word >> 16)) & 0xFFFF0000;
    return StateOfSign(v, Smaller(sum, 0x7F7F0000));
  }
};

struct HalfState : NarrowState<HalfState> {
  SIMT_DEVICE static float Widen(uint16_t bits) { return HalfToFloat(bits); }
  SIMT_DEVICE static uint16_t Narrow(float v) { return FloatToHalf(v); }
  SIMT_DEVICE static float Round(float v, uint32_t word) {
    const uint32_t magnitude = BitsOf(v) & 0x7FFFFFFF;
    const uint32_t drawn = word >> 19;
    uint32_t rounded = Smaller((magnitude + drawn) & 0xFFFFE000, 0x477FE000);
    if (magnitude < 0x38800000) {  // below the normal numbers of f16: whole units of 2^−24
      const float units = FloatOf(magnitude) * 0x1p24f + static_cast<float>(drawn) * 0x1p-13f;
      rounded = BitsOf(static_cast<float>(static_cast<uint32_t>(units)) * 0x1p-24f);
    }
    return StateOfSign(v, rounded);
  }
};

// The state of an element after the token of `key`, of what it is in f32.
template <typename State>
SIMT_DEVICE float KeptState(float v, uint32_t key, uint32_t element) {
  return State::kRounds ? State::Round(v, StateWord(key, element)) : v;
}
template <typename State>
SIMT_DEVICE uint32_t KeyOf(const StateField& field, int64_t position) {
  return State::kRounds ? StateKey(position, field.layer) : 0;
}

template <typename State>
SIMT_DEVICE typename State::Element* StateAt(const StateField& field, int32_t slot) {
  return reinterpret_cast<typename State::Element*>(
      field.slab + static_cast<size_t>(slot) * field.slot_bytes + field.offset);
}

// Calls `launch` with the type of a format.
template <typename Launch>
void WithStateOf(StateFormat format, const Launch& launch) {
  switch (format) {
    case StateFormat::kF32:
      return launch(F32State());
    case StateFormat::kBf16:
      return launch(Bf16State());
    case StateFormat::kF16:
      return launch(HalfState());
    case StateFormat::kF64:
      return;  // of ops whose state is that alone
  }
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_STATE_NUMBERS_H_
