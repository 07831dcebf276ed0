// The tiny model as a GGUF file, as llama.cpp's converter writes it.
#ifndef SSMD_TESTS_SUPPORT_TINY_GGUF_H_
#define SSMD_TESTS_SUPPORT_TINY_GGUF_H_

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "engine/formats/gguf_names.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/tiny_model.h"

namespace ssmd::testing {

// −exp of f32 numbers, as ours is: computed in double, rounded once.
inline std::string NegativeExp(const std::string& logs) {
  std::string rates = logs;
  for (size_t i = 0; i < logs.size(); i += sizeof(float)) {
    float value = 0;
    std::memcpy(&value, &logs[i], sizeof(value));
    value = static_cast<float>(-std::exp(double{value}));
    std::memcpy(&rates[i], &value, sizeof(value));
  }
  return rates;
}

// REQUIRES: tensors in F32.
inline test::GgufFile TinyGguf(const TinyModel& model = TinyModel()) {
  test::GgufFile file;
  file.Set("general.architecture", test::GgufString("mamba"));
  file.Set("mamba.embedding_length", test::GgufU32(4));
  file.Set("mamba.block_count", test::GgufU32(2));
  file.Set("mamba.attention.layer_norm_rms_epsilon", test::GgufF32(1e-5f));
  file.Set("mamba.ssm.conv_kernel", test::GgufU32(2));
  file.Set("mamba.ssm.inner_size", test::GgufU32(6));
  file.Set("mamba.ssm.state_size", test::GgufU32(3));
  file.Set("mamba.ssm.time_step_rank", test::GgufU32(1));
  for (const auto& [name, tensor] : model.tensors) {
    test::GgufTensor written{GgufNameOf("mamba", name), {}, 0, tensor.bytes};
    const bool squeezed = name.ends_with("conv1d.weight");
    for (size_t i = tensor.shape.size(); i-- > 0;) {
      if (squeezed && i == 1) continue;
      written.dimensions.push_back(static_cast<uint64_t>(tensor.shape[i]));
    }
    if (name.ends_with("A_log")) written.bytes = NegativeExp(tensor.bytes);
    file.tensors.push_back(written);
  }
  return file;
}

inline test::GgufTensor& TensorOf(test::GgufFile& file, const std::string& name) {
  for (test::GgufTensor& tensor : file.tensors) {
    if (tensor.name == name) return tensor;
  }
  std::abort();
}

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_SUPPORT_TINY_GGUF_H_
