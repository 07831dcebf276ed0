// Tensors that tests of names make: without bytes.
#ifndef SSMD_TESTS_UNIT_FORMATS_NAMED_TENSOR_H_
#define SSMD_TESTS_UNIT_FORMATS_NAMED_TENSOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "engine/formats/tensor_info.h"

namespace ssmd {

inline TensorInfo TensorNamed(const std::string& name, const std::vector<int64_t>& shape = {1}) {
  TensorInfo tensor;
  tensor.name = name;
  tensor.shape = shape;
  tensor.elements = 1;
  for (const int64_t dimension : shape) tensor.elements *= dimension;
  return tensor;
}

}  // namespace ssmd

#endif  // SSMD_TESTS_UNIT_FORMATS_NAMED_TENSOR_H_
