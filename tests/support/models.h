// Small checkpoints that a test writes itself: Mamba or Mamba-2 of any shape with random weights,
// or with something wrong.
#ifndef SSMD_TESTS_SUPPORT_MODELS_H_
#define SSMD_TESTS_SUPPORT_MODELS_H_

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <utility>
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
  int head_dim = 0;     // above 0: Mamba-2, without a dt_rank
  int groups = 1;       // of Mamba-2
  int d_inner() const { return d_model * expand; }
  int heads() const { return d_inner() / head_dim; }
  int conv_channels() const { return d_inner() + 2 * groups * state; }
};

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// Makes tensors one after another. The same seed and the same calls give the same ones.
class RandomTensors {
 public:
  explicit RandomTensors(uint32_t seed) : random_(seed) {}

  void Uniform(const std::string& name, std::vector<int64_t> shape, float low, float high);
  void Add(const std::string& name, std::vector<int64_t> shape,
           const std::function<float(int64_t)>& value);  // of an index
  std::vector<Tensor> Take() { return std::move(tensors_); }

 private:
  std::mt19937 random_;
  std::vector<Tensor> tensors_;
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
