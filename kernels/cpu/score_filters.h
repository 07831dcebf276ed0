// Which tokens stay in a draw (SampleParams defines it): top_k, then top_p, then min_p. Scores are
// in ascending token id, so that ties go to the first; they may be those of some tokens only, as
// long as top_k keeps none of the others.
#ifndef SSMD_KERNELS_CPU_SCORE_FILTERS_H_
#define SSMD_KERNELS_CPU_SCORE_FILTERS_H_

#include <cstdint>
#include <limits>

#include "kernels/cpu/kernel_table.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cpu {

// The score of a token that is out of the draw.
inline constexpr float kOutOfDraw = -std::numeric_limits<float>::infinity();

// Masses of `n` scores (ops.h), whole numbers. Returns their sum.
uint64_t ComputeMasses(const KernelTable& kernels, const float* scores, int64_t n, float* masses);

// The mass that top_p wants to be kept, of `total`.
uint64_t WantedMass(float top_p, uint64_t total);

// Whether min_p takes a token of that mass out.
bool IsImprobable(float mass, float min_p);

// Sets the scores of tokens that top_p and min_p take out to kOutOfDraw. `total` is the mass of
// those that top_k kept.
void KeepByMass(const SampleRow& row, uint64_t total, int64_t n, const float* masses,
                float* scores);

// All filters in turn. `masses` is (n), to work in.
void KeepProbable(const KernelTable& kernels, const SampleRow& row, int64_t n, float* scores,
                  float* masses);

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_SCORE_FILTERS_H_
