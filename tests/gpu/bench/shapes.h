// Sizes of well-known models, and of what is asked of them.
#ifndef SSMD_TESTS_GPU_BENCH_SHAPES_H_
#define SSMD_TESTS_GPU_BENCH_SHAPES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/ops.h"
#include "kernels/tensor.h"

namespace ssmd::gpu_bench {

struct Shape {
  std::string name;
  bool mamba2 = false;
  int64_t d_model = 0;
  int64_t layers = 0;
  int64_t vocabulary = 0;
  kernels::StateFormat state = kernels::StateFormat::kF32;

  // What follows from these in all of them.
  static constexpr int64_t kConvWidth = 4;
  static constexpr int64_t kHeadDim = 64;
  int64_t inner() const { return 2 * d_model; }
  int64_t state_size() const { return mamba2 ? 128 : 16; }
  int64_t rank() const { return (d_model + 15) / 16; }       // Mamba-1
  int64_t dbc() const { return rank() + 2 * state_size(); }  // Mamba-1: Δ, B and C
  int64_t heads() const { return inner() / kHeadDim; }       // Mamba-2, of one group
  int64_t conv_channels() const { return inner() + (mamba2 ? 2 * state_size() : 0); }
  int64_t projection() const { return mamba2 ? inner() + conv_channels() + heads() : 2 * inner(); }

  // Bytes of a layer in a state, and of all of them.
  size_t ring_bytes() const { return static_cast<size_t>((kConvWidth - 1) * conv_channels()) * 4; }
  int64_t ssm_elements() const {
    return (mamba2 ? inner() : kernels::PaddedChannels(inner())) * state_size();
  }
  size_t ssm_bytes() const {
    return static_cast<size_t>(ssm_elements()) * kernels::StateFormatBytes(state);
  }
  size_t slot_bytes() const { return static_cast<size_t>(layers) * (ring_bytes() + ssm_bytes()); }
};
// "mamba-2.8b", "mamba2-2.7b", "mamba-130m", "mamba2-130m"; "tiny" and "tiny2", to try things out.
// With a format after a plus, as in "mamba2-2.7b+bf16": states are kept in it.
std::vector<std::string> ShapeNames();
std::optional<Shape> ShapeNamed(const std::string& name);

// A step: so many sessions with so many tokens each.
struct Load {
  int64_t sessions = 1;
  int64_t tokens = 1;

  int64_t rows() const { return sessions * tokens; }
  bool decodes() const { return tokens == 1; }
  std::string name() const;  // "64" or "4x2048"
};

}  // namespace ssmd::gpu_bench

#endif  // SSMD_TESTS_GPU_BENCH_SHAPES_H_
