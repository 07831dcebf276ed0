// Complex modes of one block of 64 channels of a segment (ModalScan). Lanes are channels. Include
// after a vec_*.h, a registers_*.h and vec_math.h. Internal linkage.
//
// A prompt takes 16 channels at a time, whose state and coefficients are first put side by side,
// mode after mode: then they are in the nearest cache, and all of a mode is at known distances.
// Without coupling several tokens are taken while a mode is in registers; a coupling has each token
// wait for all modes of the last one, and its sum is made while that one's modes are written.
// Neither changes what is done to a mode, or the order of a sum.
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

// A walk over the modes of 16 channels, each of which has a row of real parts and, part() further
// on, one of imaginary parts. By value: a store to the state could change what is reached by
// reference, as compilers see it.
//
// As the block of channels has them.
struct ModalRows {
  float* state;
  const float* decays;
  const float* outputs;
  const float* coupling_in;
  const float* coupling_out;
  int64_t coupling;  // from one r to the next
  int64_t at = 0;

  void Seek(int64_t mode) { at = mode * 2 * kModalBlock; }
  void Next() { at += 2 * kModalBlock; }
  static constexpr int64_t part() { return kModalBlock; }
  float* h() const { return state + at; }
  const float* decay() const { return decays + at; }
  const float* output() const { return outputs + at; }
  const float* in(int r) const { return coupling_in + r * coupling + at; }
  const float* out(int r) const { return coupling_out + r * coupling + at; }
};

// Side by side.
template <int kRank>
struct PackedModes {
  static constexpr int64_t kPair = 2 * kLanes;
  static constexpr int64_t kFloats = (3 + 2 * kRank) * kPair;  // of a mode
  float* first;
  float* at;

  void Seek(int64_t mode) { at = first + mode * kFloats; }
  void Next() { at += kFloats; }
  static constexpr int64_t part() { return kLanes; }
  float* h() const { return at; }
  float* decay() const { return at + kPair; }
  float* output() const { return at + 2 * kPair; }
  float* in(int r) const { return at + (3 + r) * kPair; }
  float* out(int r) const { return at + (3 + kRank + r) * kPair; }
};

struct ComplexRow {
  Register re, im;
};
inline ComplexRow LoadMode(const float* p, int64_t part) {
  return {LoadRegister(p), LoadRegister(p + part)};
}
inline ComplexRow KeepMode(const float* p, int64_t part) {
  return {Keep(LoadRegister(p)), Keep(LoadRegister(p + part))};
}

// Σ Re(a · h), continued by a mode.
inline Register AddReal(ComplexRow a, ComplexRow h, Register sum) {
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
template <typename Rows>
inline F16 CoupledSum(Rows rows, int64_t modes, int r) {
  F16 runs[4];
  for (int64_t i = 0; i < 4; ++i) {
    const ModalRun run = RunOfModes(i, modes);
    Register sum[kRegisters];
    for (Register& part : sum) part = BroadcastRegister(0);
    rows.Seek(run.begin);
    for (int64_t n = run.begin; n < run.end; ++n, rows.Next()) {
      for (int p = 0; p < kRegisters; ++p) {
        const int64_t lane = p * kRegisterLanes;
        sum[p] = AddReal(LoadMode(rows.in(r) + lane, rows.part()),
                         LoadMode(rows.h() + lane, rows.part()), sum[p]);
      }
    }
    runs[i] = Join(sum);
  }
  return SumOfRuns(runs);
}

// A mode in kTokens tokens without coupling, of the lanes from `lane` on.
template <int kTokens, typename Rows>
inline void AdvanceFreeMode(Rows rows, int64_t lane, const Register (&u)[kTokens],
                            Register (&sum)[kTokens]) {
  const ComplexRow decay = KeepMode(rows.decay() + lane, rows.part());
  const ComplexRow output = KeepMode(rows.output() + lane, rows.part());
  ComplexRow h = KeepMode(rows.h() + lane, rows.part());
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t) {
    h = Advance(decay, h, {u[t], BroadcastRegister(0)});
    sum[t] = AddReal(output, h, sum[t]);
  }
  Store(rows.h() + lane, h.re);
  Store(rows.h() + lane + rows.part(), h.im);
}

// kTokens tokens without coupling. y is Σ Re(output · h) of each.
template <int kTokens, typename Rows>
inline void AdvanceFree(Rows rows, int64_t modes, const F16 (&u)[kTokens], F16 (&y)[kTokens]) {
  F16 runs[kTokens][4];
  Register input[kRegisters][kTokens];
  for (int p = 0; p < kRegisters; ++p) {
    for (int t = 0; t < kTokens; ++t) input[p][t] = RegisterOf(u[t], p);
  }
  for (int64_t i = 0; i < 4; ++i) {
    const ModalRun run = RunOfModes(i, modes);
    Register sum[kRegisters][kTokens];
#pragma GCC unroll 2
    for (int p = 0; p < kRegisters; ++p) {
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t) sum[p][t] = BroadcastRegister(0);
    }
    rows.Seek(run.begin);
    for (int64_t n = run.begin; n < run.end; ++n, rows.Next()) {
#pragma GCC unroll 2
      for (int p = 0; p < kRegisters; ++p) {
        AdvanceFreeMode<kTokens>(rows, p * kRegisterLanes, input[p], sum[p]);
      }
    }
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      Register parts[kRegisters];
      for (int p = 0; p < kRegisters; ++p) parts[p] = sum[p][t];
      runs[t][i] = Join(parts);
    }
  }
  for (int t = 0; t < kTokens; ++t) y[t] = SumOfRuns(runs[t]);
}

// Sums over modes of a token with coupling: of its output, and s of the next token.
template <int kRank>
struct CoupledSums {
  Register y, next[kRank];
};

// A mode of a token with coupling, of the lanes from `lane` on.
template <int kRank, bool kNext, typename Rows>
inline void AdvanceCoupledMode(Rows rows, int64_t lane, Register u, const Register (&s)[kRank],
                               CoupledSums<kRank>& sums) {
  ComplexRow input = {u, BroadcastRegister(0)};
#pragma GCC unroll 4
  for (int r = 0; r < kRank; ++r) {
    const ComplexRow out = LoadMode(rows.out(r) + lane, rows.part());
    input = {NegatedFma(out.re, s[r], input.re), NegatedFma(out.im, s[r], input.im)};
  }
  const ComplexRow h = Advance(KeepMode(rows.decay() + lane, rows.part()),
                               KeepMode(rows.h() + lane, rows.part()), input);
  Store(rows.h() + lane, h.re);
  Store(rows.h() + lane + rows.part(), h.im);
  sums.y = AddReal(LoadMode(rows.output() + lane, rows.part()), h, sums.y);
  if constexpr (kNext) {
#pragma GCC unroll 4
    for (int r = 0; r < kRank; ++r) {
      sums.next[r] = AddReal(LoadMode(rows.in(r) + lane, rows.part()), h, sums.next[r]);
    }
  }
}

// A token with coupling: takes s and leaves that of the next token, if kNext.
template <int kRank, bool kNext, typename Rows>
inline F16 AdvanceCoupled(Rows rows, int64_t modes, F16 u, F16 (&s)[kRank]) {
  F16 runs[4], next[kRank][4];
  Register input[kRegisters], coupled[kRegisters][kRank];
  for (int p = 0; p < kRegisters; ++p) {
    input[p] = RegisterOf(u, p);
    for (int r = 0; r < kRank; ++r) coupled[p][r] = RegisterOf(s[r], p);
  }
  for (int64_t i = 0; i < 4; ++i) {
    const ModalRun run = RunOfModes(i, modes);
    CoupledSums<kRank> sums[kRegisters];
    for (auto& part : sums) {
      part.y = BroadcastRegister(0);
      for (Register& sum : part.next) sum = BroadcastRegister(0);
    }
    rows.Seek(run.begin);
    for (int64_t n = run.begin; n < run.end; ++n, rows.Next()) {
#pragma GCC unroll 2
      for (int p = 0; p < kRegisters; ++p) {
        AdvanceCoupledMode<kRank, kNext>(rows, p * kRegisterLanes, input[p], coupled[p], sums[p]);
      }
    }
    Register parts[kRegisters];
    for (int p = 0; p < kRegisters; ++p) parts[p] = sums[p].y;
    runs[i] = Join(parts);
    for (int r = 0; r < kRank; ++r) {
      for (int p = 0; p < kRegisters; ++p) parts[p] = sums[p].next[r];
      next[r][i] = Join(parts);
    }
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

template <int kTokens, typename Rows>
inline void TakeFree(const ModalShare& s, Rows rows, int64_t t, int64_t channel) {
  F16 u[kTokens], y[kTokens];
  for (int i = 0; i < kTokens; ++i) u[i] = ModalInput(s, t + i, channel);
  AdvanceFree<kTokens>(rows, s.modes, u, y);
  for (int i = 0; i < kTokens; ++i) WriteModal(s, t + i, channel, u[i], y[i]);
}

template <typename Rows>
void ScanFree(const ModalShare& s, Rows rows, int64_t channel) {
  int64_t t = 0;
  for (; t + kModalTokens <= s.length; t += kModalTokens) {
    TakeFree<kModalTokens>(s, rows, t, channel);
  }
  for (; t < s.length; ++t) TakeFree<1>(s, rows, t, channel);
}

template <int kRank, typename Rows>
void ScanCoupled(const ModalShare& s, Rows rows, int64_t channel) {
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

template <int kRank, typename Rows>
inline void ScanModes(const ModalShare& s, Rows rows, int64_t channel) {
  if constexpr (kRank == 0) {
    ScanFree(s, rows, channel);
  } else {
    ScanCoupled<kRank>(s, rows, channel);
  }
}

// Copies 16 channels of a mode.
inline void CopyMode(const float* from, int64_t from_part, float* to, int64_t to_part) {
  Store(to, Load(from));
  Store(to + to_part, Load(from + from_part));
}

template <int kRank>
inline void PackModes(int64_t modes, ModalRows from, PackedModes<kRank> to) {
  const auto copy = [](const float* row, float* packed) {
    CopyMode(row, ModalRows::part(), packed, PackedModes<kRank>::part());
  };
  from.Seek(0);
  to.Seek(0);
  for (int64_t n = 0; n < modes; ++n, from.Next(), to.Next()) {
    copy(from.h(), to.h());
    copy(from.decay(), to.decay());
    copy(from.output(), to.output());
    for (int r = 0; r < kRank; ++r) {
      copy(from.in(r), to.in(r));
      copy(from.out(r), to.out(r));
    }
  }
}

template <int kRank>
inline void UnpackStates(int64_t modes, PackedModes<kRank> from, ModalRows to) {
  from.Seek(0);
  to.Seek(0);
  for (int64_t n = 0; n < modes; ++n, from.Next(), to.Next()) {
    CopyMode(from.h(), from.part(), to.h(), to.part());
  }
}

// The 16 channels from `channel` on.
template <int kRank>
void ScanChannels(const ModalShare& s, int64_t channel) {
  const int64_t coupled = kRank > 0 ? channel : 0;  // null has no channels
  const ModalRows rows = {s.to + channel,           s.decay + channel,
                          s.output + channel,       s.coupling_in + coupled,
                          s.coupling_out + coupled, 2 * s.modes * kModalBlock};
  if (s.length < kModalPackFrom || s.modes * PackedModes<kRank>::kFloats > kModalPackFloats) {
    ScanModes<kRank>(s, rows, channel);
    return;
  }
  alignas(64) float room[kModalPackFloats];
  const PackedModes<kRank> packed = {room, room};
  PackModes(s.modes, rows, packed);
  ScanModes<kRank>(s, packed, channel);
  UnpackStates(s.modes, packed, rows);
}

inline void ScanChannelsOf(const ModalShare& s, int64_t channel) {
  switch (s.rank) {
    case 0:
      return ScanChannels<0>(s, channel);
    case 1:
      return ScanChannels<1>(s, channel);
    case 2:
      return ScanChannels<2>(s, channel);
    case 3:
      return ScanChannels<3>(s, channel);
    default:
      return ScanChannels<4>(s, channel);
  }
}

void ModalScanShare(const ModalShare& s) {
  const int64_t elements = 2 * s.modes * kModalBlock;
  if (s.to != s.from) {
    for (int64_t i = 0; i < elements; i += kLanes) Store(s.to + i, Load(s.from + i));
  }
  for (int64_t channel = 0; channel < s.channels; channel += kLanes) {
    ScanChannelsOf(s, channel);
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
