// Complex modes of one block of 64 channels of a segment (ModalScan). Lanes are channels. Include
// after a vec_*.h and vec_math.h. Internal linkage.
//
// A prompt takes 16 channels at a time, whose state and coefficients are first put side by side: in
// rows of 64 channels they would share a few sets of the nearest cache. Without coupling several
// tokens are taken while a mode is in registers; a coupling has each token wait for all modes of
// the last one, and its sum is made while that one's modes are written. Neither changes what is
// done to a mode, or the order of a sum.
#ifndef SSMD_KERNELS_CPU_MODAL_KERNEL_H_
#define SSMD_KERNELS_CPU_MODAL_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int64_t kModalBlock = 64;  // kChannelBlock of ops.h
constexpr int kModalTokens = 4;
// Segments from this many tokens on are worth putting side by side, where that fits half of the
// nearest cache or so.
constexpr int64_t kModalPackFrom = 8;
constexpr int64_t kModalPackFloats = 6144;

// By value: a store to the state could change what is reached by reference, as compilers see it.
//
// 16 channels: each mode has a row of real parts and one of imaginary parts.
struct ModalRows {
  float* h;
  const float* decay;
  const float* output;
  const float* in;  // of the coupling
  const float* out;
  int64_t mode;      // from one mode to the next
  int64_t part;      // from real to imaginary
  int64_t coupling;  // from one r to the next
};

struct ComplexRow {
  F16 re, im;
};
inline ComplexRow LoadMode(const float* p, int64_t part) { return {Load(p), Load(p + part)}; }

// Σ Re(a · h), continued by a mode.
inline F16 AddReal(ComplexRow a, ComplexRow h, F16 sum) {
  return NegatedFma(a.im, h.im, Fma(a.re, h.re, sum));
}

inline ComplexRow Advance(ComplexRow decay, ComplexRow h, ComplexRow input) {
  return {NegatedFma(decay.im, h.im, Fma(decay.re, h.re, input.re)),
          Fma(decay.im, h.re, Fma(decay.re, h.im, input.im))};
}

inline F16 SumOfRuns(const F16 (&runs)[4]) { return (runs[0] + runs[1]) + (runs[2] + runs[3]); }

// Modes of one of the four runs of a sum.
struct ModalRun {
  int64_t begin, end;
};
inline ModalRun RunOfModes(int64_t i, int64_t modes) {
  const int64_t run = (modes + 3) / 4;
  const int64_t begin = i * run < modes ? i * run : modes;
  return {begin, begin + run < modes ? begin + run : modes};
}

// s_r of the state as it is.
inline F16 CoupledSum(ModalRows rows, int64_t modes, int r) {
  F16 runs[4];
  for (int64_t i = 0; i < 4; ++i) {
    const ModalRun run = RunOfModes(i, modes);
    F16 sum = Broadcast(0);
    for (int64_t n = run.begin; n < run.end; ++n) {
      const int64_t at = n * rows.mode;
      sum = AddReal(LoadMode(rows.in + r * rows.coupling + at, rows.part),
                    LoadMode(rows.h + at, rows.part), sum);
    }
    runs[i] = sum;
  }
  return SumOfRuns(runs);
}

// kTokens tokens without coupling. y is Σ Re(output · h) of each.
template <int kTokens>
inline void AdvanceFree(ModalRows rows, int64_t modes, const F16 (&u)[kTokens], F16 (&y)[kTokens]) {
  F16 runs[kTokens][4];
  for (int64_t i = 0; i < 4; ++i) {
    const ModalRun run = RunOfModes(i, modes);
    F16 sum[kTokens];
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) sum[t] = Broadcast(0);
    for (int64_t n = run.begin; n < run.end; ++n) {
      const int64_t at = n * rows.mode;
      const ComplexRow decay = LoadMode(rows.decay + at, rows.part);
      const ComplexRow output = LoadMode(rows.output + at, rows.part);
      ComplexRow h = LoadMode(rows.h + at, rows.part);
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t) {
        h = Advance(decay, h, {u[t], Broadcast(0)});
        sum[t] = AddReal(output, h, sum[t]);
      }
      Store(rows.h + at, h.re);
      Store(rows.h + at + rows.part, h.im);
    }
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) runs[t][i] = sum[t];
  }
  for (int t = 0; t < kTokens; ++t) y[t] = SumOfRuns(runs[t]);
}

// A token with coupling: takes s and leaves that of the next token, if kNext.
template <int kRank, bool kNext>
inline F16 AdvanceCoupled(ModalRows rows, int64_t modes, F16 u, F16 (&s)[kRank]) {
  F16 runs[4], next[kRank][4];
  for (int64_t i = 0; i < 4; ++i) {
    const ModalRun run = RunOfModes(i, modes);
    F16 sum = Broadcast(0);
    F16 coupled[kRank];
#pragma GCC unroll 4
    for (int r = 0; r < kRank; ++r) coupled[r] = Broadcast(0);
    for (int64_t n = run.begin; n < run.end; ++n) {
      const int64_t at = n * rows.mode;
      ComplexRow input = {u, Broadcast(0)};
#pragma GCC unroll 4
      for (int r = 0; r < kRank; ++r) {
        const ComplexRow out = LoadMode(rows.out + r * rows.coupling + at, rows.part);
        input = {NegatedFma(out.re, s[r], input.re), NegatedFma(out.im, s[r], input.im)};
      }
      const ComplexRow h =
          Advance(LoadMode(rows.decay + at, rows.part), LoadMode(rows.h + at, rows.part), input);
      Store(rows.h + at, h.re);
      Store(rows.h + at + rows.part, h.im);
      sum = AddReal(LoadMode(rows.output + at, rows.part), h, sum);
      if constexpr (kNext) {
#pragma GCC unroll 4
        for (int r = 0; r < kRank; ++r) {
          coupled[r] =
              AddReal(LoadMode(rows.in + r * rows.coupling + at, rows.part), h, coupled[r]);
        }
      }
    }
    runs[i] = sum;
    for (int r = 0; r < kRank; ++r) next[r][i] = coupled[r];
  }
  if constexpr (kNext) {
    for (int r = 0; r < kRank; ++r) s[r] = SumOfRuns(next[r]);
  }
  return SumOfRuns(runs);
}

// The 16 channels from `channel` on of a token: input, and output of its Σ Re(output · h).
inline F16 ModalInput(const ModalShare& s, int64_t t, int64_t channel) {
  return LoadPartial(s.u + t * s.u_stride + channel, s.channels - channel, 0);
}
inline void WriteModal(const ModalShare& s, int64_t t, int64_t channel, F16 u, F16 sum) {
  const int64_t n = s.channels - channel;
  const F16 d = LoadPartial(s.d + channel, n, 0);
  StorePartial(s.y + t * s.y_stride + channel, Fma(d, u, sum), n);
}

template <int kTokens>
inline void TakeFree(const ModalShare& s, ModalRows rows, int64_t t, int64_t channel) {
  F16 u[kTokens], y[kTokens];
  for (int i = 0; i < kTokens; ++i) u[i] = ModalInput(s, t + i, channel);
  AdvanceFree<kTokens>(rows, s.modes, u, y);
  for (int i = 0; i < kTokens; ++i) WriteModal(s, t + i, channel, u[i], y[i]);
}

template <int kRank>
void ScanModes(const ModalShare& s, ModalRows rows, int64_t channel) {
  F16 sums[kRank];
  for (int r = 0; r < kRank; ++r) sums[r] = CoupledSum(rows, s.modes, r);
  int64_t t = 0;
  for (; t + 1 < s.length; ++t) {
    const F16 u = ModalInput(s, t, channel);
    WriteModal(s, t, channel, u, AdvanceCoupled<kRank, true>(rows, s.modes, u, sums));
  }
  const F16 u = ModalInput(s, t, channel);
  WriteModal(s, t, channel, u, AdvanceCoupled<kRank, false>(rows, s.modes, u, sums));
}
template <>
void ScanModes<0>(const ModalShare& s, ModalRows rows, int64_t channel) {
  int64_t t = 0;
  for (; t + kModalTokens <= s.length; t += kModalTokens) {
    TakeFree<kModalTokens>(s, rows, t, channel);
  }
  for (; t < s.length; ++t) TakeFree<1>(s, rows, t, channel);
}

inline void ScanModesOf(const ModalShare& s, ModalRows rows, int64_t channel) {
  switch (s.rank) {
    case 0:
      return ScanModes<0>(s, rows, channel);
    case 1:
      return ScanModes<1>(s, rows, channel);
    case 2:
      return ScanModes<2>(s, rows, channel);
    case 3:
      return ScanModes<3>(s, rows, channel);
    default:
      return ScanModes<4>(s, rows, channel);
  }
}

// Puts 16 channels of `count` rows side by side, and returns where the next ones go.
inline float* PackRows(const float* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) Store(to + i * kLanes, Load(from + i * kModalBlock));
  return to + count * kLanes;
}

inline void ScanPacked(const ModalShare& s, ModalRows rows, int64_t channel, float* room) {
  const int64_t count = 2 * s.modes;
  ModalRows packed = {room, nullptr, nullptr, nullptr, nullptr, 2 * kLanes, kLanes, count * kLanes};
  float* next = PackRows(rows.h, count, room);
  packed.decay = next;
  next = PackRows(rows.decay, count, next);
  packed.output = next;
  next = PackRows(rows.output, count, next);
  packed.in = next;
  next = PackRows(rows.in, count * s.rank, next);
  packed.out = next;
  PackRows(rows.out, count * s.rank, next);
  ScanModesOf(s, packed, channel);
  for (int64_t i = 0; i < count; ++i) Store(rows.h + i * kModalBlock, Load(room + i * kLanes));
}

void ModalScanShare(const ModalShare& s) {
  const int64_t elements = 2 * s.modes * kModalBlock;
  if (s.to != s.from) {
    for (int64_t i = 0; i < elements; i += kLanes) Store(s.to + i, Load(s.from + i));
  }
  const int64_t floats = 2 * s.modes * (3 + 2 * s.rank) * kLanes;
  const bool packs = s.length >= kModalPackFrom && floats <= kModalPackFloats;
  alignas(64) float room[kModalPackFloats];
  for (int64_t channel = 0; channel < s.channels; channel += kLanes) {
    const int64_t coupled = s.rank > 0 ? channel : 0;  // null has no channels
    const ModalRows rows = {
        s.to + channel,           s.decay + channel, s.output + channel, s.coupling_in + coupled,
        s.coupling_out + coupled, 2 * kModalBlock,   kModalBlock,        elements};
    packs ? ScanPacked(s, rows, channel, room) : ScanModesOf(s, rows, channel);
    // Lanes beyond the last channel were computed with zeros, which is zero but for infinities.
    if (channel + kLanes <= s.channels) continue;
    for (int64_t i = channel; i < elements; i += kModalBlock) {
      Store(s.to + i, FirstLanes(Load(s.to + i), s.channels - channel));
    }
  }
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_MODAL_KERNEL_H_
