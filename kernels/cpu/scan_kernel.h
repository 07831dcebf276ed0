// The Mamba-1 recurrence of one segment, over one block of 64 channels: softplus, decay, update,
// read-out, D and gate in one pass, with the block's state (4 KB at N = 16) in the nearest cache.
// Lanes are channels. Include after a vec_*.h, vec_math.h and state_kernel.h. Internal
// linkage.
//
// The decay is applied as h + (e^{Δa} − 1)·h: rounded to f32, a decay close to 1 would lose its
// distance from 1, and that error adds up over thousands of steps (kernels/README.md has figures).
#ifndef SSMD_KERNELS_CPU_SCAN_KERNEL_H_
#define SSMD_KERNELS_CPU_SCAN_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int64_t kBlock = 64;  // kChannelBlock of ops.h

// A token of 16 channels.
template <typename State>
struct ScanStep {
  const float* a;  // of the channels, at state index 0; so h
  typename State::Element* h;
  uint32_t key;     // of the token
  int64_t element;  // of the channels, at state index 0
  const float* b;
  const float* c;
  F16 delta;
  F16 delta_x;
  int64_t block;  // from here to the same channels of the next block
};

// Advances state indices [begin, end) and returns their part of C·h. Fetches the next block's
// meanwhile, if asked.
template <typename State, bool kFetchNext>
inline F16 AdvanceRun(const ScanStep<State>& s, int64_t begin, int64_t end) {
  F16 sum = Broadcast(0);
  for (int64_t n = begin; n < end; ++n) {
    const float* a = s.a + n * kBlock;
    auto* h = s.h + n * kBlock;
    if constexpr (kFetchNext) {
      Prefetch(a + s.block);
      Prefetch(h + s.block);
    }
    const F16 loss = ExpMinus1(s.delta * Load(a));
    const F16 old = State::Read(h);
    const F16 next = Fma(s.delta_x, Broadcast(s.b[n]), Fma(loss, old, old));
    State::Write(h, Rounded<State>(next, s.key, s.element + n * kBlock));
    sum = Fma(Broadcast(s.c[n]), next, sum);
  }
  return sum;
}

// Token t of the 16 channels from `channel` on.
template <typename State, bool kFetchNext>
inline void StepChannels(const ScanShare& s, int64_t t, uint32_t key, int64_t channel) {
  const int64_t n = s.channels - channel;
  const F16 x = LoadPartial(s.x + t * s.x_stride + channel, n, 0);
  const F16 delta = Softplus(LoadPartial(s.dt + t * s.dt_stride + channel, n, 0));
  auto* h = static_cast<typename State::Element*>(s.state.to);
  const ScanStep<State> step = {
      s.a + channel,        h + channel, key,       s.state.element + channel, s.b + t * s.b_stride,
      s.c + t * s.c_stride, delta,       delta * x, s.state_size * kBlock};
  const int64_t run = (s.state_size + 3) / 4;
  F16 runs[4];
  for (int64_t i = 0; i < 4; ++i) {
    const int64_t begin = i * run < s.state_size ? i * run : s.state_size;
    const int64_t end = begin + run < s.state_size ? begin + run : s.state_size;
    runs[i] = AdvanceRun<State, kFetchNext>(step, begin, end);
  }
  const F16 sum = (runs[0] + runs[1]) + (runs[2] + runs[3]);
  const F16 read = Fma(LoadPartial(s.d + channel, n, 0), x, sum);
  const F16 gate = Silu(LoadPartial(s.z + t * s.z_stride + channel, n, 0));
  StorePartial(s.y + t * s.y_stride + channel, read * gate, n);
}

// Lanes beyond the last channel were computed with zeros, which is zero unless B is not finite.
template <typename Element>
inline void ClearPadding(const ScanShare& s, Element* h) {
  for (int64_t n = 0; n < s.state_size; ++n) {
    for (int64_t c = s.channels; c < kBlock; ++c) h[n * kBlock + c] = 0;
  }
}

template <typename State>
void ScanBlockOf(const ScanShare& s) {
  const auto* from = static_cast<const typename State::Element*>(s.state.from);
  auto* to = static_cast<typename State::Element*>(s.state.to);
  if (to != from) {
    for (int64_t i = 0; i < s.state_size * kBlock; i += kLanes) {
      State::Write(to + i, State::Read(from + i));
    }
  }
  uint32_t key = KeyOf<State>(s.state, 0);
  for (int64_t channel = 0; channel < s.channels; channel += kLanes) {
    StepChannels<State, true>(s, 0, key, channel);
  }
  for (int64_t t = 1; t < s.length; ++t) {
    key = KeyOf<State>(s.state, t);
    for (int64_t channel = 0; channel < s.channels; channel += kLanes) {
      StepChannels<State, false>(s, t, key, channel);
    }
  }
  if (s.channels < kBlock) ClearPadding(s, to);
}

void ScanBlock(const ScanShare& s) {
  WithState(s.state.numbers, [&](auto state) { ScanBlockOf<decltype(state)>(s); });
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_SCAN_KERNEL_H_
