// One file of rwkv.cpp (github.com/RWKV/rwkv.cpp, docs/FILE_FORMAT.md): a header of six numbers,
// then tensors, each described where it lies, up to the end of the file.
//
// Versions 100 and 101, little-endian; of quantised types those that GGUF files share, in version
// 101. Everything is checked before a tensor is handed out: lengths and extents within the file,
// shapes whose product does not overflow, no tensor twice, an embedding and layers as the header
// says. Nothing is allocated but for a table of the tensors. Errors are INVALID_ARGUMENT and name
// the file, the tensor and what is wrong.
#ifndef SSMD_ENGINE_FORMATS_RWKV_CPP_H_
#define SSMD_ENGINE_FORMATS_RWKV_CPP_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/formats/tensor_info.h"

namespace ssmd {

inline constexpr size_t kMaxRwkvCppTensors = 1 << 16;
inline constexpr uint32_t kMaxRwkvCppNameBytes = 256;
inline constexpr uint32_t kMaxRwkvCppDimensions = 4;

// Whether a file that begins so is one of these.
bool IsRwkvCpp(std::string_view first_bytes);

// A whole file in memory, which the tensors point into: as in the file, under its names; shapes are
// row-major, which is the reverse of the file's order. `source` (a file's name) opens every error.
absl::StatusOr<std::vector<TensorInfo>> ParseRwkvCpp(const std::byte* data, size_t size,
                                                     std::string_view source);

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_RWKV_CPP_H_
