// Any bytes as a safetensors file: refused, or every tensor lies within them. The first two bytes
// are a header length, so that mutations of the header stay consistent with it.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "engine/formats/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t header_bytes = data[0] | static_cast<size_t>(data[1]) << 8;
  std::vector<std::byte> file(8);
  file[0] = std::byte{data[0]};
  file[1] = std::byte{data[1]};
  const auto* rest = reinterpret_cast<const std::byte*>(data + 2);
  file.insert(file.end(), rest, rest + (size - 2));

  const auto tensors = ssmd::ParseSafetensors(file.data(), file.size(), "fuzz");
  if (!tensors.ok()) return 0;
  size_t covered = 0;
  for (const ssmd::TensorInfo& tensor : *tensors) {
    if (tensor.data < file.data() + 8 + header_bytes) std::abort();
    if (tensor.data + tensor.bytes > file.data() + file.size()) std::abort();
    if (tensor.bytes != static_cast<size_t>(tensor.elements) * ssmd::TensorTypeBytes(tensor.type)) {
      std::abort();
    }
    covered += tensor.bytes;
  }
  if (covered != file.size() - 8 - header_bytes) std::abort();
  return 0;
}
