// Small checkpoints that a test writes itself: Mamba of any shape with random weights, or with
// something wrong.
#ifndef SSMD_TESTS_SUPPORT_MODELS_H_
#define SSMD_TESTS_SUPPORT_MODELS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace ssmd::test {

struct MambaShape {
  int d_model = 16;
  int layers = 2;
  int vocabulary = 64;
  int state = 4;
  int conv = 4;
  int expand = 2;
  int dt_rank = 3;
  bool falcon = false;  // falcon_mamba: with the weightless norms, and an untied head
  int d_inner() const { return d_model * expand; }
};

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// Names as Hugging Face writes them. The same seed gives the same weights.
std::vector<Tensor> RandomMamba(const MambaShape& shape, uint32_t seed);
std::string MambaConfig(const MambaShape& shape);
// A safetensors file (F32).
std::string Safetensors(const std::vector<Tensor>& tensors);

// config.json and model.safetensors, without a tokenizer. `folder` is made.
void WriteRandomMamba(const std::string& folder, const MambaShape& shape, uint32_t seed);

}  // namespace ssmd::test

#endif  // SSMD_TESTS_SUPPORT_MODELS_H_
