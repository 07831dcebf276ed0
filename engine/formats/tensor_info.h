// A tensor of a checkpoint file, whatever the file's format.
#ifndef SSMD_ENGINE_FORMATS_TENSOR_INFO_H_
#define SSMD_ENGINE_FORMATS_TENSOR_INFO_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ssmd {

// Plain numbers, and the blocks of quantised ones that GGUF files hold (kernels/matrix_source.h).
enum class TensorType : uint8_t {
  kBool,
  kU8,
  kI8,
  kF8E4M3,
  kF8E5M2,
  kI16,
  kU16,
  kF16,
  kBf16,
  kI32,
  kU32,
  kF32,
  kI64,
  kU64,
  kF64,
  kQ8_0,
  kQ4_0,
  kQ4_K,
  kQ6_K,
};
std::string_view TensorTypeName(TensorType type);  // as in a header: "BF16"
// Elements of a block, which lie within one row: 1 for plain numbers.
int64_t TensorTypeBlock(TensorType type);
size_t TensorTypeBytes(TensorType type);  // of a block

// One tensor of a mapped file. `data` need not be aligned for its type.
struct TensorInfo {
  std::string name;  // as the file has it; what errors say
  // What models call it, where that is another name (GGUF has names of its own).
  std::string model_name;
  TensorType type = TensorType::kF32;
  std::vector<int64_t> shape;  // row-major
  int64_t elements = 0;
  const std::byte* data = nullptr;
  size_t bytes = 0;

  const std::string& key() const { return model_name.empty() ? name : model_name; }
};

// "[768, 1, 4]"
std::string DescribeShape(const std::vector<int64_t>& shape);

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_TENSOR_INFO_H_
