#include "tests/simt/warp_call.h"

namespace ssmd::simt {
namespace {

using kernels::cuda::kWarpThreads;

using Lanes = Thread* (&)[kWarpThreads];

void Shuffle(Lanes lanes) {
  uint64_t given[kWarpThreads];
  for (int i = 0; i < kWarpThreads; ++i) given[i] = lanes[i]->value;
  for (Thread* lane : lanes) lane->value = given[lane->source];
}

void Ballot(Lanes lanes) {
  uint64_t bits = 0;
  for (int i = 0; i < kWarpThreads; ++i) bits |= uint64_t{lanes[i]->value != 0} << i;
  for (Thread* lane : lanes) lane->value = bits;
}

// Exact, of a denormal too: the scheduler does not run in the kernels' float mode.
double Widened(const Fragments& fragments, uint32_t pair, int half) {
  return fragments.widen(static_cast<uint16_t>(half == 0 ? pair : pair >> 16));
}

// Which lane has an element of a tile, in which register, and where in that.
// simt.h has the layouts.
struct Held {
  int lane, word, half;
};

Held HeldOfA(int row, int k) { return {row % 8 * 4 + k % 8 / 2, row / 8 + 2 * (k / 8), k % 2}; }
Held HeldOfB(int k, int column) { return {column * 4 + k % 8 / 2, k / 8, k % 2}; }
Held HeldOfD(int row, int column) {
  return {row % 8 * 4 + column / 2, row / 8 * 2 + column % 2, 0};
}

void Multiply(Lanes lanes) {
  constexpr int kRows = 16, kColumns = 8, kDepth = 16;
  double a[kRows][kDepth], b[kDepth][kColumns];
  for (int k = 0; k < kDepth; ++k) {
    for (int row = 0; row < kRows; ++row) {
      const Held held = HeldOfA(row, k);
      const Fragments& fragments = lanes[held.lane]->fragments;
      a[row][k] = Widened(fragments, fragments.a[held.word], held.half);
    }
    for (int column = 0; column < kColumns; ++column) {
      const Held held = HeldOfB(k, column);
      const Fragments& fragments = lanes[held.lane]->fragments;
      b[k][column] = Widened(fragments, fragments.b[held.word], held.half);
    }
  }
  for (int row = 0; row < kRows; ++row) {
    for (int column = 0; column < kColumns; ++column) {
      const Held held = HeldOfD(row, column);
      float& d = lanes[held.lane]->fragments.d[held.word];
      double sum = d;
      for (int k = 0; k < kDepth; ++k) sum += a[row][k] * b[k][column];
      d = static_cast<float>(sum);
    }
  }
}

}  // namespace

void AnswerWarp(Thread* (&lanes)[kWarpThreads]) {
  switch (lanes[0]->call) {
    case Call::kShuffle:
      return Shuffle(lanes);
    case Call::kBallot:
      return Ballot(lanes);
    case Call::kMma:
      return Multiply(lanes);
    case Call::kSyncWarp:
    case Call::kSync:
    case Call::kSyncAny:
      return;
  }
}

}  // namespace ssmd::simt
