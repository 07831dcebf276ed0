// The pickle in a torch checkpoint, as data: which tensors a state dict has, and where they lie.
//
// Nothing is executed. The reader is a small stack machine of its own that knows the opcodes,
// globals and calls which torch.save writes for a dict of tensors, and what each of them means for
// one; everything else is an error that names it and its byte. Values are never walked in depth,
// every one costs a byte of the pickle, and the memo's numbers must be consecutive, so that memory
// and time are linear in the pickle's size. Its limits are the constant below and
// those of pickle_stack.h.
// The idea is that of torch's weights_only unpickler, with a shorter list.
#ifndef SSMD_ENGINE_FORMATS_TORCH_PICKLE_H_
#define SSMD_ENGINE_FORMATS_TORCH_PICKLE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/formats/safetensors.h"

namespace ssmd {

inline constexpr size_t kMaxPickleBytes = size_t{16} << 20;

// A tensor as the pickle describes it. Nothing here was compared with the file's entries. The views
// point into the pickle.
struct PickledTensor {
  std::string_view name;
  TensorType type = TensorType::kF32;
  std::string_view storage;      // the entry data/<storage> has its bytes
  int64_t storage_elements = 0;  // at least 0, as is every size here
  int64_t offset = 0;            // of its first element in the storage, in elements
  std::vector<int64_t> shape;    // at most kMaxTensorDimensions
  std::vector<int64_t> strides;  // as many; in elements, any numbers
};

// `source` opens every error, which is INVALID_ARGUMENT. In the order of the dict, no name twice.
absl::StatusOr<std::vector<PickledTensor>> ReadStateDict(std::string_view pickle,
                                                         std::string_view source);

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_TORCH_PICKLE_H_
