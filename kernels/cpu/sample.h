// Sampling and log-probabilities of one row (ops.h defines them), on top of an instruction set's
// passes over the vocabulary.
#ifndef SSMD_KERNELS_CPU_SAMPLE_H_
#define SSMD_KERNELS_CPU_SAMPLE_H_

#include "kernels/cpu/kernel_table.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cpu {

// What sampling a row works in: one per thread, each of `vocabulary` elements.
struct SampleScratch {
  float* scores;
  float* masses;
  float* listed_scores;
  int32_t* listed_tokens;
};
inline constexpr int64_t kScratchArrays = 4;

// Sets row.token_id. Changes nothing but `scratch` otherwise.
void SampleOne(const KernelTable& kernels, int64_t vocabulary, SampleScratch scratch,
               SampleRow& row);

// Sets row.logprob and row.top.
void LogprobsOne(const KernelTable& kernels, int64_t vocabulary, LogprobRow& row);

}  // namespace ssmd::kernels::cpu

#endif  // SSMD_KERNELS_CPU_SAMPLE_H_
