// GGUF files for tests: right ones from keys and tensors, and wrong ones by saying what is wrong.
#ifndef SSMD_TESTS_SUPPORT_GGUF_WRITER_H_
#define SSMD_TESTS_SUPPORT_GGUF_WRITER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/little_endian.h"

namespace ssmd::test {

// A value as the file holds it, its type before it.
inline std::string GgufU32(uint32_t value) {
  std::string bytes;
  PutLittleEndian<uint32_t>(&bytes, 4);
  PutLittleEndian<uint32_t>(&bytes, value);
  return bytes;
}
inline std::string GgufU64(uint64_t value) {
  std::string bytes;
  PutLittleEndian<uint32_t>(&bytes, 10);
  PutLittleEndian<uint64_t>(&bytes, value);
  return bytes;
}
inline std::string GgufF32(float value) {
  std::string bytes;
  PutLittleEndian<uint32_t>(&bytes, 6);
  PutLittleEndian<float>(&bytes, value);
  return bytes;
}
inline std::string GgufBool(uint8_t value) {
  std::string bytes;
  PutLittleEndian<uint32_t>(&bytes, 7);
  PutLittleEndian<uint8_t>(&bytes, value);
  return bytes;
}
inline std::string GgufText(std::string_view text) {  // without a type
  std::string bytes;
  PutLittleEndian<uint64_t>(&bytes, text.size());
  bytes.append(text);
  return bytes;
}
inline std::string GgufString(std::string_view text) {
  std::string bytes;
  PutLittleEndian<uint32_t>(&bytes, 8);
  return bytes + GgufText(text);
}
// An array of elements of `type`, which `elements` holds one after another.
inline std::string GgufArray(uint32_t type, uint64_t size, std::string_view elements) {
  std::string bytes;
  PutLittleEndian<uint32_t>(&bytes, 9);
  PutLittleEndian<uint32_t>(&bytes, type);
  PutLittleEndian<uint64_t>(&bytes, size);
  bytes.append(elements);
  return bytes;
}
inline std::string GgufStringArray(const std::vector<std::string>& texts) {
  std::string elements;
  for (const std::string& text : texts) elements += GgufText(text);
  return GgufArray(8, texts.size(), elements);
}
inline std::string GgufI32Array(const std::vector<int32_t>& values) {
  std::string elements;
  for (const int32_t value : values) PutLittleEndian<int32_t>(&elements, value);
  return GgufArray(5, values.size(), elements);
}

struct GgufTensor {
  std::string name;
  std::vector<uint64_t> dimensions;  // innermost first
  uint32_t type = 0;                 // the format's number; 0: F32
  std::string bytes;
  std::optional<uint64_t> offset = {};  // in place of the right one
};

inline GgufTensor GgufF32Tensor(std::string name, std::vector<uint64_t> dimensions,
                                const std::vector<float>& values) {
  return {std::move(name), std::move(dimensions), 0,
          std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float))};
}

struct GgufFile {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> pair_count = {};  // in place of the right one
  std::optional<uint64_t> tensor_count = {};
  uint64_t alignment = 32;
  std::vector<std::pair<std::string, std::string>> pairs;  // key → value with its type
  std::vector<GgufTensor> tensors;
  std::string trailing;

  void Set(const std::string& key, std::string value) {
    for (auto& pair : pairs) {
      if (pair.first == key) {
        pair.second = std::move(value);
        return;
      }
    }
    pairs.emplace_back(key, std::move(value));
  }
  void Remove(const std::string& key) {
    std::erase_if(pairs, [&](const auto& pair) { return pair.first == key; });
  }

  std::string Bytes() const {
    std::string file = magic;
    PutLittleEndian<uint32_t>(&file, version);
    PutLittleEndian<uint64_t>(&file, tensor_count.value_or(tensors.size()));
    PutLittleEndian<uint64_t>(&file, pair_count.value_or(pairs.size()));
    for (const auto& [key, value] : pairs) file += GgufText(key) + value;
    std::string data;
    for (const GgufTensor& tensor : tensors) {
      file += GgufText(tensor.name);
      PutLittleEndian<uint32_t>(&file, static_cast<uint32_t>(tensor.dimensions.size()));
      for (const uint64_t dimension : tensor.dimensions) {
        PutLittleEndian<uint64_t>(&file, dimension);
      }
      PutLittleEndian<uint32_t>(&file, tensor.type);
      data.resize(Aligned(data.size()));
      PutLittleEndian<uint64_t>(&file, tensor.offset.value_or(data.size()));
      data += tensor.bytes;
    }
    if (!tensors.empty()) file.resize(Aligned(file.size()));
    return file + data + trailing;
  }

 private:
  size_t Aligned(size_t offset) const { return (offset + alignment - 1) / alignment * alignment; }
};

}  // namespace ssmd::test

#endif  // SSMD_TESTS_SUPPORT_GGUF_WRITER_H_
