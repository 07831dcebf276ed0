// Any bytes as a checkpoint of torch: refused, or every tensor lies within them. The first byte
// chooses what the rest is: a whole file, or the pickle of one that is otherwise right, so that
// mutations reach the pickle's reader without having to keep a zip file's offsets.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "engine/formats/torch_zip.h"
#include "tests/support/torch_zip_writer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  std::string file(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'p') {
    file = ssmd::testing::MakeZip({{"m/data.pkl", file, {}, {}},
                                   {"m/data/0", std::string(32, 'x'), {}, {}},
                                   {"m/data/1", std::string(6, 'x'), {}, {}}})
               .bytes;
  }
  const auto* bytes = reinterpret_cast<const std::byte*>(file.data());
  const auto tensors = ssmd::ParseTorchZip(bytes, file.size(), "fuzz");
  if (!tensors.ok()) return 0;
  for (const ssmd::TensorInfo& tensor : *tensors) {
    if (tensor.data < bytes || tensor.bytes > file.size() ||
        static_cast<size_t>(tensor.data - bytes) > file.size() - tensor.bytes) {
      std::abort();
    }
    if (tensor.bytes != static_cast<size_t>(tensor.elements) * ssmd::TensorTypeBytes(tensor.type)) {
      std::abort();
    }
    int64_t elements = 1;
    for (const int64_t dimension : tensor.shape) elements *= dimension;
    if (elements != tensor.elements) std::abort();
  }
  return 0;
}
