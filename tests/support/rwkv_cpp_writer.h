// Files of rwkv.cpp for tests: right ones from tensors, and wrong ones by saying what is wrong.
#ifndef SSMD_TESTS_SUPPORT_RWKV_CPP_WRITER_H_
#define SSMD_TESTS_SUPPORT_RWKV_CPP_WRITER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/little_endian.h"

namespace ssmd::test {

struct RwkvCppTensor {
  std::string name;
  std::vector<int32_t> dimensions;  // innermost first
  uint32_t type = 0;                // the format's number; 0: FP32
  std::string bytes;
  std::optional<uint32_t> dimension_count = {};  // in place of the right one
  std::optional<uint32_t> name_bytes = {};
};

// All elements are 1.
inline RwkvCppTensor RwkvCppOnes(std::string name, std::vector<int32_t> dimensions) {
  RwkvCppTensor tensor = {std::move(name), std::move(dimensions), 0, ""};
  int64_t elements = 1;
  for (const int32_t dimension : tensor.dimensions) elements *= dimension;
  for (int64_t i = 0; i < elements; ++i) PutLittleEndian<float>(&tensor.bytes, 1);
  return tensor;
}

struct RwkvCppFile {
  uint32_t magic = 0x67676d66;
  uint32_t version = 101;
  int32_t vocabulary = 3;
  int32_t d_model = 2;
  int32_t layers = 1;
  // An embedding and a norm: what the header is compared with.
  std::vector<RwkvCppTensor> tensors = {RwkvCppOnes("emb.weight", {2, 3}),
                                        RwkvCppOnes("blocks.0.ln1.weight", {2})};

  std::string Bytes() const {
    std::string file;
    PutLittleEndian<uint32_t>(&file, magic);
    PutLittleEndian<uint32_t>(&file, version);
    PutLittleEndian<int32_t>(&file, vocabulary);
    PutLittleEndian<int32_t>(&file, d_model);
    PutLittleEndian<int32_t>(&file, layers);
    PutLittleEndian<uint32_t>(&file, 0);
    for (const RwkvCppTensor& tensor : tensors) {
      PutLittleEndian<uint32_t>(
          &file, tensor.dimension_count.value_or(static_cast<uint32_t>(tensor.dimensions.size())));
      PutLittleEndian<uint32_t>(
          &file, tensor.name_bytes.value_or(static_cast<uint32_t>(tensor.name.size())));
      PutLittleEndian<uint32_t>(&file, tensor.type);
      for (const int32_t dimension : tensor.dimensions) PutLittleEndian<int32_t>(&file, dimension);
      file += tensor.name + tensor.bytes;
    }
    return file;
  }
};

}  // namespace ssmd::test

#endif  // SSMD_TESTS_SUPPORT_RWKV_CPP_WRITER_H_
