// The numbers that GGUF files have for the types of tensors.
#ifndef SSMD_ENGINE_FORMATS_GGUF_TENSOR_TYPE_H_
#define SSMD_ENGINE_FORMATS_GGUF_TENSOR_TYPE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "engine/formats/tensor_info.h"

namespace ssmd {

// Absent for a type that is not read.
std::optional<TensorType> GgufTensorType(uint32_t number);

// For errors about one that is not read: "Q5_K, which is not supported; these are: F32, …".
std::string DescribeGgufTensorType(uint32_t number);

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_GGUF_TENSOR_TYPE_H_
