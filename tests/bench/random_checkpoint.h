// Checkpoints of well-known shapes with random weights: speed does not depend on what a model has
// learnt, so no download is needed to measure it. All layers of one have the same weights.
#ifndef SSMD_TESTS_BENCH_RANDOM_CHECKPOINT_H_
#define SSMD_TESTS_BENCH_RANDOM_CHECKPOINT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace ssmd::bench {

// "tiny" (for trying the program out), "mamba-130m", "mamba-370m", "mamba-790m", "mamba-1.4b",
// "mamba-2.8b", "mamba2-130m" to "mamba2-2.7b", and of every other mixer of ssm_lm "s4-tiny" and
// "s4-768x24" or the like: d_model 768, 24 layers, and a vocabulary of 1,024, as a larger head
// would hide what the layers cost.
std::vector<std::string> RandomShapes();

// A temporary folder with config.json and a bf16 model.safetensors, removed at the end of its life.
class RandomCheckpoint {
 public:
  // REQUIRES: `shape` is one of RandomShapes().
  explicit RandomCheckpoint(const std::string& shape);
  ~RandomCheckpoint();
  RandomCheckpoint(const RandomCheckpoint&) = delete;
  RandomCheckpoint& operator=(const RandomCheckpoint&) = delete;

  // Whether it could be written.
  const absl::Status& status() const { return status_; }
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
  absl::Status status_;
};

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_RANDOM_CHECKPOINT_H_
