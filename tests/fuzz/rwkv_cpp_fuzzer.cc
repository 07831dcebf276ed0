// Any bytes as a file of rwkv.cpp: refused, or every tensor lies within them, under its model's
// names too.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "engine/formats/model_names.h"
#include "engine/formats/rwkv_cpp.h"

namespace {

void CheckExtents(const std::vector<ssmd::TensorInfo>& tensors, const uint8_t* data, size_t size) {
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  for (const ssmd::TensorInfo& tensor : tensors) {
    if (tensor.data < begin || tensor.bytes > size) std::abort();
    if (tensor.data + tensor.bytes > begin + size) std::abort();
    const auto blocks = static_cast<size_t>(tensor.elements / ssmd::TensorTypeBlock(tensor.type));
    if (tensor.bytes != blocks * ssmd::TensorTypeBytes(tensor.type)) std::abort();
    int64_t elements = 1;
    for (const int64_t dimension : tensor.shape) elements *= dimension;
    if (elements != tensor.elements) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto tensors = ssmd::ParseRwkvCpp(reinterpret_cast<const std::byte*>(data), size, "fuzz");
  if (!tensors.ok()) return 0;
  CheckExtents(*tensors, data, size);
  ssmd::TakeModelNames(ssmd::ModelNaming::kRwkvCpp, &*tensors);
  CheckExtents(*tensors, data, size);
  return 0;
}
