#include "kernels/cpu/score_filters.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/radix_select.h"

namespace ssmd::kernels::cpu {
namespace {

void ApplyCut(const Cut& cut, int64_t n, float* scores) {
  int64_t ties_left = cut.ties;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t key = ScoreKey(scores[i]);
    if (key < cut.key || (key == cut.key && ties_left-- > 0)) continue;
    scores[i] = kOutOfDraw;
  }
}

void KeepTopK(int64_t top_k, int64_t n, float* scores) {
  if (top_k <= 0 || top_k >= n) return;
  const auto one = [](int64_t) { return uint64_t{1}; };
  ApplyCut(SelectLargest(scores, n, static_cast<uint64_t>(top_k), one), n, scores);
}

void KeepTopP(uint64_t wanted, int64_t n, const float* masses, float* scores) {
  const auto mass = [masses](int64_t i) { return static_cast<uint64_t>(masses[i]); };
  ApplyCut(SelectLargest(scores, n, wanted, mass), n, scores);
}

void KeepMinP(float min_p, int64_t n, const float* masses, float* scores) {
  for (int64_t i = 0; i < n; ++i) {
    if (IsImprobable(masses[i], min_p)) scores[i] = kOutOfDraw;
  }
}

}  // namespace

uint64_t ComputeMasses(const KernelTable& kernels, const float* scores, int64_t n, float* masses) {
  uint64_t total = 0;
  for (int64_t first = 0; first < n; first += kSummedMasses) {
    const int64_t count = std::min(kSummedMasses, n - first);
    kernels.exponentials(scores + first, count, masses + first);
    total += static_cast<uint64_t>(kernels.round_to_masses(masses + first, count));
  }
  return total;
}

uint64_t WantedMass(float top_p, uint64_t total) {
  const auto mass = static_cast<uint64_t>(std::ceil(double{top_p} * static_cast<double>(total)));
  return std::max(mass, uint64_t{1});
}

bool IsImprobable(float mass, float min_p) { return double{mass} < double{min_p} * kMassOne; }

void KeepByMass(const SampleRow& row, uint64_t total, int64_t n, const float* masses,
                float* scores) {
  if (row.top_p < 1) KeepTopP(WantedMass(row.top_p, total), n, masses, scores);
  if (row.min_p > 0) KeepMinP(row.min_p, n, masses, scores);
}

void KeepProbable(const KernelTable& kernels, const SampleRow& row, int64_t n, float* scores,
                  float* masses) {
  KeepTopK(row.top_k, n, scores);
  if (row.top_p >= 1 && row.min_p <= 0) return;
  const uint64_t total = ComputeMasses(kernels, scores, n, masses);
  KeepByMass(row, total, n, masses, scores);
}

}  // namespace ssmd::kernels::cpu
