// What the chunked form of kernels::DenseScan takes whole chunks of tokens by.
#ifndef SSMD_ENGINE_MODELS_MIXERS_DENSE_CHUNK_H_
#define SSMD_ENGINE_MODELS_MIXERS_DENSE_CHUNK_H_

#include <cstdint>
#include <vector>

namespace ssmd {

struct DenseChunk {
  std::vector<float> step;     // (N, N + tokens)
  std::vector<float> readout;  // lane blocks (tokens, N)
  std::vector<float> taps;     // lane blocks (tokens)
};

// Of the system as the kernel has it: (N, N) a, (N) b and (channels, N) output. By powers in double
// precision.
DenseChunk MakeDenseChunk(const std::vector<float>& a, const std::vector<float>& b,
                          const std::vector<float>& output, int64_t tokens);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_DENSE_CHUNK_H_
