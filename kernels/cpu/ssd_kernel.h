// The Mamba-2 recurrence of one segment, over channels of one head: decay, update and read-out in
// one pass over the state. Lanes are channels. Include after a vec_*.h, vec_math.h and
// state_kernel.h. Internal linkage.
//
// A state is large (32 KB a head of 64 channels and N = 128), and its arithmetic little. So one
// token of a stream goes through it row by row, as it lies in memory, and of a prompt several
// tokens are taken while an element is in a register. Neither changes what is done to an element,
// or in which order (Dao & Gu's chunked form would: it trades the promise about bits for matrix
// products).
//
// The decay is applied as S + (e^{Δa} − 1)·S; scan_kernel.h says why.
#ifndef SSMD_KERNELS_CPU_SSD_KERNEL_H_
#define SSMD_KERNELS_CPU_SSD_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace ssmd::kernels::cpu {
namespace {

// Shapes of a pass in tokens and groups of 16 channels: of a prompt, and of single tokens. Their
// sums stay in the 16 registers of AVX2.
constexpr int kPromptTokens = 4;
constexpr int kRowGroups = 4;
// A pass fetches the state this many elements ahead.
constexpr int64_t kStateAhead = 1024;

// Δ and e^{Δa} − 1 of up to 16 tokens: lanes are tokens here.
struct SsdSteps {
  float delta[kLanes];
  float loss[kLanes];
};

inline void ComputeSteps(const SsdShare& s, int64_t first, SsdSteps& steps) {
  F16 delta = Broadcast(1);
  if (s.dt != nullptr) {
    float dt[kLanes];
    for (int64_t i = 0; i < kLanes; ++i) {
      dt[i] = first + i < s.length ? s.dt[(first + i) * s.dt_stride] : 0;
    }
    const F16 most = Broadcast(s.dt_max);
    delta = Max(Broadcast(s.dt_min), Softplus(Load(dt) + Broadcast(s.dt_bias)));
    delta = SelectGreater(delta, most, most, delta);
  }
  Store(steps.delta, delta);
  Store(steps.loss, ExpMinus1(delta * Broadcast(s.a)));
}

// What a pass needs of its tokens.
template <int kTokens, int kGroups>
struct SsdTokens {
  uint32_t key[kTokens];
  const float* b[kTokens];
  const float* c[kTokens];
  float loss[kTokens];
  F16 x[kTokens][kGroups];
  F16 delta_x[kTokens][kGroups];
};

template <typename State, int kTokens, int kGroups>
inline void LoadTokens(const SsdShare& s, const SsdSteps& steps, int64_t first, int64_t token,
                       int64_t channel, SsdTokens<kTokens, kGroups>& in) {
  for (int t = 0; t < kTokens; ++t) {
    const int64_t row = first + token + t;
    in.key[t] = KeyOf<State>(s.state, row);
    in.b[t] = s.b + row * s.b_stride;
    in.c[t] = s.c + row * s.c_stride;
    in.loss[t] = steps.loss[token + t];
    const F16 delta = Broadcast(steps.delta[token + t]);
    for (int g = 0; g < kGroups; ++g) {
      const int64_t at = channel + g * kLanes;
      in.x[t][g] = LoadPartial(s.x + row * s.x_stride + at, s.channels - at, 0);
      in.delta_x[t][g] = delta * in.x[t][g];
    }
  }
}

// Where a pass finds the state of its channels at state index 0, and leaves it.
template <typename State>
struct SsdPlace {
  const typename State::Element* from;
  typename State::Element* to;
  int64_t element;
  int64_t row;  // from one state index to the next
};

// Advances state indices [begin, end) by all tokens of the pass and returns their part of C·S in
// `sums`.
template <typename State, int kTokens, int kGroups>
inline void AdvanceState(const SsdTokens<kTokens, kGroups>& in, int64_t begin, int64_t end,
                         const SsdPlace<State>& place, F16 (&sums)[kTokens][kGroups]) {
  F16 sum[kTokens][kGroups];
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) sum[t][g] = Broadcast(0);
  }
  for (int64_t n = begin; n < end; ++n) {
    const auto* source = place.from + n * place.row;
    auto* target = place.to + n * place.row;
    const int64_t element = place.element + n * place.row;
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      if constexpr (kTokens == 1) Prefetch(source + kStateAhead + g * kLanes);
      F16 state = State::Read(source + g * kLanes);
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t) {
        const F16 decayed = Fma(Broadcast(in.loss[t]), state, state);
        state = Fma(in.delta_x[t][g], Broadcast(in.b[t][n]), decayed);
        sum[t][g] = Fma(Broadcast(in.c[t][n]), state, sum[t][g]);
        state = Rounded<State>(state, in.key[t], element + g * kLanes);
      }
      State::Write(target + g * kLanes, state);
    }
  }
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) sums[t][g] = sum[t][g];
  }
}

// kTokens tokens from first + token on, over kGroups groups of channels. `first` is the token of
// steps[0].
template <typename State, int kTokens, int kGroups>
void SsdPass(const SsdShare& s, const SsdSteps& steps, int64_t first, int64_t token,
             int64_t channel) {
  using Element = typename State::Element;
  SsdTokens<kTokens, kGroups> in;
  LoadTokens<State>(s, steps, first, token, channel, in);
  // The first token of a segment takes the state over from where it was.
  const void* from = first + token == 0 ? s.state.from : s.state.to;
  const SsdPlace<State> place = {static_cast<const Element*>(from) + channel,
                                 static_cast<Element*>(s.state.to) + channel,
                                 s.state.element + channel, s.state_row};
  const int64_t run = (s.state_size + 3) / 4;
  F16 runs[4][kTokens][kGroups];
  for (int64_t i = 0; i < 4; ++i) {
    const int64_t begin = i * run < s.state_size ? i * run : s.state_size;
    const int64_t end = begin + run < s.state_size ? begin + run : s.state_size;
    AdvanceState<State>(in, begin, end, place, runs[i]);
  }
  for (int t = 0; t < kTokens; ++t) {
    for (int g = 0; g < kGroups; ++g) {
      const int64_t at = channel + g * kLanes;
      const int64_t n = s.channels - at;
      F16 y = (runs[0][t][g] + runs[1][t][g]) + (runs[2][t][g] + runs[3][t][g]);
      if (s.d != nullptr) y = Fma(LoadPartial(s.d + at, n, 0), in.x[t][g], y);
      StorePartial(s.y + (first + token + t) * s.y_stride + at, y, n);
    }
  }
}

// One token, over all channels of the share.
template <typename State>
inline void SsdStep(const SsdShare& s, const SsdSteps& steps, int64_t first, int64_t token) {
  int64_t channel = 0;
  for (; channel + (kRowGroups - 1) * kLanes < s.channels; channel += kRowGroups * kLanes) {
    SsdPass<State, 1, kRowGroups>(s, steps, first, token, channel);
  }
  for (; channel < s.channels; channel += kLanes) {
    SsdPass<State, 1, 1>(s, steps, first, token, channel);
  }
}

// Lanes beyond the last channel were computed with zeros, which is zero unless B is not finite.
template <typename Element>
inline void ClearSsdPadding(const SsdShare& s, Element* state) {
  const int64_t lanes = (s.channels + kLanes - 1) / kLanes * kLanes;
  for (int64_t n = 0; n < s.state_size; ++n) {
    for (int64_t c = s.channels; c < lanes; ++c) state[n * s.state_row + c] = 0;
  }
}

template <typename State>
void SsdScanOf(const SsdShare& s) {
  SsdSteps steps;
  for (int64_t first = 0; first < s.length; first += kLanes) {
    ComputeSteps(s, first, steps);
    const int64_t tokens = s.length - first < kLanes ? s.length - first : kLanes;
    int64_t token = 0;
    for (; token + kPromptTokens <= tokens; token += kPromptTokens) {
      for (int64_t channel = 0; channel < s.channels; channel += kLanes) {
        SsdPass<State, kPromptTokens, 1>(s, steps, first, token, channel);
      }
    }
    for (; token < tokens; ++token) SsdStep<State>(s, steps, first, token);
  }
  auto* state = static_cast<typename State::Element*>(s.state.to);
  if (s.channels % kLanes != 0) ClearSsdPadding(s, state);
}

void SsdScanShare(const SsdShare& s) {
  WithState(s.state.numbers, [&](auto state) { SsdScanOf<decltype(state)>(s); });
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_SSD_KERNEL_H_
