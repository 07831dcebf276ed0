// One safetensors file (github.com/huggingface/safetensors): 8 bytes of header length, a JSON
// header, then the tensors' bytes.
//
// Everything is checked before a byte of a tensor is handed out: the header's length, every extent
// within the file, shapes whose size equals their extent, and a data section that the tensors cover
// exactly once, without holes. Errors are INVALID_ARGUMENT and name the file, the tensor and what
// is wrong. Limits: a header of 100 MB, 8 dimensions.
#ifndef SSMD_ENGINE_FORMATS_SAFETENSORS_H_
#define SSMD_ENGINE_FORMATS_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/formats/tensor_info.h"

namespace ssmd {

inline constexpr size_t kMaxSafetensorsHeaderBytes = 100'000'000;
inline constexpr size_t kMaxTensorDimensions = 8;

// Reads the header of a whole file in memory; the tensors point into it. In no particular order.
// `source` (a file's name) opens every error.
absl::StatusOr<std::vector<TensorInfo>> ParseSafetensors(const std::byte* data, size_t size,
                                                         std::string_view source);

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_SAFETENSORS_H_
