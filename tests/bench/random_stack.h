// Random weights for stacks of every mixer of ssm_lm but Mamba's two, whose checkpoints have shapes
// of their own. Decays lie inside the unit circle, and layers outweigh the embedding, so that
// greedy tokens vary.
#ifndef SSMD_TESTS_BENCH_RANDOM_STACK_H_
#define SSMD_TESTS_BENCH_RANDOM_STACK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/models.h"

namespace ssmd::bench {

struct StackShape {
  std::string mixer;  // one of RandomMixers()
  int64_t d_model = 768;
  int64_t layers = 24;
  int64_t vocabulary = 1024;
};

std::vector<std::string> RandomMixers();

// REQUIRES: d_model is a multiple of 64.
std::string StackConfig(const StackShape& shape);
// Of the first layer, and of what is around the layers. The same seed gives the same weights.
std::vector<test::Tensor> RandomStack(const StackShape& shape, uint32_t seed);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_RANDOM_STACK_H_
