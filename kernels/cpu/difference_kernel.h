// A difference equation per channel (DifferenceScan), of a block of 64 channels of a segment, in
// double. Lanes are channels. Include after a vec_*.h and vec_math.h. Internal linkage.
//
// The last values of a prompt lie in order, those of its tokens behind them, and several tokens are
// taken together: a coefficient is loaded once for all. The sums go from the longest delay to the
// shortest, so that what such a token needs of the others comes last. A single token goes through
// the ring row by row, and rewrites one row of it.
#ifndef SSMD_KERNELS_CPU_DIFFERENCE_KERNEL_H_
#define SSMD_KERNELS_CPU_DIFFERENCE_KERNEL_H_

#include <cstdint>

#include "kernels/cpu/kernel_table.h"

namespace ssmd::kernels::cpu {
namespace {

constexpr int64_t kDelayBlock = 64;  // kChannelBlock of ops.h
constexpr int64_t kMaxDelays = 256;  // kMaxModes of linear_ops.h
constexpr int kDelayTokens = 6;
constexpr int64_t kDelayChunk = 48;  // tokens behind the last values; whole groups
constexpr int64_t kDelaysFrom = 2;   // tokens of a segment that go in order
constexpr int kDelayGroups = 4;      // of eight channels, that a single token takes together

// Of eight channels: coefficients, and values in order, u and v.
struct alignas(64) DelayLine {
  double numerator[kMaxDelays][kDoubleLanes];
  double denominator[kMaxDelays][kDoubleLanes];
  double u[kMaxDelays + kDelayChunk][kDoubleLanes];
  double v[kMaxDelays + kDelayChunk][kDoubleLanes];
};

// The first n of eight lanes.
inline D8 LoadInputs(const float* p, int64_t n) {
  if (n >= kDoubleLanes) return LoadWidened(p);
  float lanes[kDoubleLanes] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return LoadWidened(lanes);
}
inline D8 LoadFirst(const double* p, int64_t n) {
  if (n >= kDoubleLanes) return Load(p);
  double lanes[kDoubleLanes] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return Load(lanes);
}
inline void StoreOutputs(float* p, D8 v, int64_t n) {
  if (n >= kDoubleLanes) {
    StoreNarrowed(p, v);
    return;
  }
  float lanes[kDoubleLanes];
  StoreNarrowed(lanes, v);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}

// The same rows. What stands in them is loaded for each delay: GCC would else keep a token's for
// the next delay, in more registers than there are.
using DelayRow = double[kDoubleLanes];
inline const DelayRow* LoadAnew(const DelayRow* rows) {
  asm("" : "+r"(rows));
  return rows;
}

// v of kTokens tokens, whose rows begin at `row` of the line; delay i has row i − 1 of the
// coefficients.
template <int kTokens>
inline void AdvanceLine(int64_t delays, DelayLine& line, int64_t row) {
  D8 acc[kTokens];
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) acc[t] = BroadcastDouble(0);
  for (int64_t i = delays; i > 0; --i) {
    const D8 coefficient = Load(line.numerator[i - 1]);
    const DelayRow* u = LoadAnew(line.u + row - i);
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) acc[t] = Fma(coefficient, Load(u[t]), acc[t]);
  }
  int64_t i = delays;
  for (; i >= kTokens; --i) {
    const D8 coefficient = Load(line.denominator[i - 1]);
    const DelayRow* v = LoadAnew(line.v + row - i);
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) acc[t] = NegatedFma(coefficient, Load(v[t]), acc[t]);
  }
  // What is left needs v of these tokens.
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) {
    for (int64_t delay = i; delay > 0; --delay) {
      acc[t] = NegatedFma(Load(line.denominator[delay - 1]), Load(line.v[row + t - delay]), acc[t]);
    }
    Store(line.v[row + t], acc[t]);
  }
}

// kTokens tokens from `token` on, with the line's rows from `row` on.
template <int kTokens>
inline void TakeDelayed(const DifferenceShare& s, int64_t channel, DelayLine& line, int64_t row,
                        int64_t token) {
  const int64_t n = s.channels - channel;
  const D8 d = LoadFirst(s.d + channel, n);
  for (int t = 0; t < kTokens; ++t) {
    Store(line.u[row + t], LoadInputs(s.u + (token + t) * s.u_stride + channel, n));
  }
  AdvanceLine<kTokens>(s.delays, line, row);
  for (int t = 0; t < kTokens; ++t) {
    const D8 y = Fma(d, Load(line.u[row + t]), Load(line.v[row + t]));
    StoreOutputs(s.y + (token + t) * s.y_stride + channel, y, n);
  }
}

// Row of the ring in which the value of the token at `position` is.
inline int64_t RingRow(const DifferenceShare& s, int64_t position) { return position % s.delays; }

// The ring's rows in order, oldest first, for a token at `position`; and back.
inline void ReadRing(const DifferenceShare& s, const double* ring, int64_t position,
                     double (*rows)[kDoubleLanes]) {
  for (int64_t i = 0; i < s.delays; ++i) {
    Store(rows[i], Load(ring + RingRow(s, position + i) * kDelayBlock));
  }
}
inline void WriteRing(const DifferenceShare& s, const double (*rows)[kDoubleLanes],
                      int64_t position, int64_t lanes, double* ring) {
  for (int64_t i = 0; i < s.delays; ++i) {
    Store(ring + RingRow(s, position + i) * kDelayBlock, LoadFirst(rows[i], lanes));
  }
}

// All tokens, of eight channels.
inline void ScanDelayed(const DifferenceShare& s, int64_t channel, DelayLine& line) {
  const int64_t ring = s.delays * kDelayBlock;
  for (int64_t i = 0; i < s.delays; ++i) {
    Store(line.numerator[i], Load(s.numerator + channel + i * kDelayBlock));
    Store(line.denominator[i], Load(s.denominator + channel + i * kDelayBlock));
  }
  ReadRing(s, s.from + channel, s.position, line.u);
  ReadRing(s, s.from + ring + channel, s.position, line.v);
  int64_t row = s.delays;
  for (int64_t token = 0; token < s.length;) {
    if (row + kDelayTokens > s.delays + kDelayChunk) {
      for (int64_t i = 0; i < s.delays; ++i) {
        Store(line.u[i], Load(line.u[row - s.delays + i]));
        Store(line.v[i], Load(line.v[row - s.delays + i]));
      }
      row = s.delays;
    }
    const bool whole = token + kDelayTokens <= s.length;
    whole ? TakeDelayed<kDelayTokens>(s, channel, line, row, token)
          : TakeDelayed<1>(s, channel, line, row, token);
    row += whole ? kDelayTokens : 1;
    token += whole ? kDelayTokens : 1;
  }
  const int64_t end = s.position + s.length;
  const int64_t lanes = s.channels - channel;
  WriteRing(s, line.u + row - s.delays, end, lanes, s.to + channel);
  WriteRing(s, line.v + row - s.delays, end, lanes, s.to + ring + channel);
}

// One of the sums of a single token, from the ring where it lies.
template <bool kNegated>
inline void AddRing(const DifferenceShare& s, const double* coefficients, const double* ring,
                    D8 (&acc)[kDelayGroups]) {
  int64_t row = RingRow(s, s.position);  // of the longest delay
  for (int64_t i = s.delays; i > 0; --i) {
    const double* c = coefficients + (i - 1) * kDelayBlock;
    const double* values = ring + row * kDelayBlock;
#pragma GCC unroll 4
    for (int g = 0; g < kDelayGroups; ++g) {
      const D8 coefficient = Load(c + g * kDoubleLanes);
      const D8 value = Load(values + g * kDoubleLanes);
      acc[g] = kNegated ? NegatedFma(coefficient, value, acc[g]) : Fma(coefficient, value, acc[g]);
    }
    row = row + 1 < s.delays ? row + 1 : 0;
  }
}

// A segment of one token, of the groups of channels from `channel` on, in place.
inline void StepDelayed(const DifferenceShare& s, int64_t channel) {
  const int64_t ring = s.delays * kDelayBlock;
  double* u_ring = s.to + channel;
  double* v_ring = u_ring + ring;
  D8 acc[kDelayGroups];
  for (D8& sum : acc) sum = BroadcastDouble(0);
  AddRing<false>(s, s.numerator + channel, u_ring, acc);
  AddRing<true>(s, s.denominator + channel, v_ring, acc);
  const int64_t row = RingRow(s, s.position) * kDelayBlock;
  for (int g = 0; g < kDelayGroups; ++g) {
    const int64_t at = channel + g * kDoubleLanes;
    const int64_t n = s.channels - at;
    const D8 u = LoadInputs(s.u + at, n);
    Store(u_ring + row + g * kDoubleLanes, u);
    double v[kDoubleLanes];
    Store(v, acc[g]);
    Store(v_ring + row + g * kDoubleLanes, LoadFirst(v, n));
    StoreOutputs(s.y + at, Fma(LoadFirst(s.d + at, n), u, acc[g]), n);
  }
}

void DifferenceScanShare(const DifferenceShare& s) {
  const int64_t elements = 2 * s.delays * kDelayBlock;
  if (s.to != s.from) {
    for (int64_t i = 0; i < elements; i += kDoubleLanes) Store(s.to + i, Load(s.from + i));
  }
  if (s.length < kDelaysFrom) {
    for (int64_t channel = 0; channel < s.channels; channel += kDelayGroups * kDoubleLanes) {
      StepDelayed(s, channel);
    }
    return;
  }
  DelayLine line;
  for (int64_t channel = 0; channel < s.channels; channel += kDoubleLanes) {
    ScanDelayed(s, channel, line);
  }
}

}  // namespace
}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_DIFFERENCE_KERNEL_H_
