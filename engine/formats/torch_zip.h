// The tensors of a checkpoint that torch.save wrote: a zip file with a pickle that names the
// tensors and an entry of bytes for each storage.
//
// The pickle is read as data (torch_pickle.h), the zip file strictly (zip_directory.h), and every
// tensor must lie within its storage, row by row, before a byte of it is handed out. Several
// tensors may share a storage: a tied head does. What neither names is not read. Errors are
// INVALID_ARGUMENT; where another program could still make sense of the file, they say how to
// convert it.
#ifndef SSMD_ENGINE_FORMATS_TORCH_ZIP_H_
#define SSMD_ENGINE_FORMATS_TORCH_ZIP_H_

#include <cstddef>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/formats/safetensors.h"

namespace ssmd {

// Reads a whole file in memory; the tensors point into it. In the order of the pickle. `source` (a
// file's name) opens every error.
absl::StatusOr<std::vector<TensorInfo>> ParseTorchZip(const std::byte* data, size_t size,
                                                      std::string_view source);

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_TORCH_ZIP_H_
