// Safetensors files for tests: right ones from tensors, and wrong ones from any header.
#ifndef SSMD_TESTS_SUPPORT_SAFETENSORS_WRITER_H_
#define SSMD_TESTS_SUPPORT_SAFETENSORS_WRITER_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace ssmd::testing {

struct TensorToWrite {
  std::string type;  // "F32"
  std::vector<int64_t> shape;
  std::string bytes;
};
using TensorsToWrite = std::map<std::string, TensorToWrite>;

inline TensorToWrite F32Tensor(std::vector<int64_t> shape, const std::vector<float>& values) {
  return {"F32", std::move(shape),
          std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float))};
}

// Any header, with its length before it.
inline std::string SafetensorsWithHeader(const std::string& header, const std::string& data) {
  std::string file;
  for (size_t i = 0; i < 8; ++i) {
    file.push_back(static_cast<char>(static_cast<uint64_t>(header.size()) >> (8 * i)));
  }
  return file + header + data;
}

inline std::string SafetensorsFile(const TensorsToWrite& tensors) {
  std::vector<std::string> entries;
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    const size_t begin = data.size();
    data += tensor.bytes;
    entries.push_back(absl::StrCat("\"", name, "\": {\"dtype\": \"", tensor.type,
                                   "\", \"shape\": [", absl::StrJoin(tensor.shape, ", "),
                                   "], \"data_offsets\": [", begin, ", ", data.size(), "]}"));
  }
  return SafetensorsWithHeader(absl::StrCat("{", absl::StrJoin(entries, ", "), "}"), data);
}

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_SUPPORT_SAFETENSORS_WRITER_H_
