// One GGUF file (github.com/ggml-org/ggml, docs/gguf.md): a header, metadata as keys and values,
// descriptions of the tensors, then their bytes.
//
// Versions 2 and 3, little-endian. Everything is checked before a value or a tensor is handed out:
// counts, lengths and extents within the file, shapes whose product does not overflow, no key or
// tensor twice, and a data section that the tensors cover in whole, but for the padding that aligns
// them; behind the last one nothing but such padding. Arrays of arrays are refused, which no
// published file has. Nothing is allocated but for tables of the keys and tensors. Errors are
// INVALID_ARGUMENT and name the file, the key or tensor, and what is wrong.
//
// A Gguf points into the file's bytes. Immutable and thread-safe; move-only.
#ifndef SSMD_ENGINE_FORMATS_GGUF_H_
#define SSMD_ENGINE_FORMATS_GGUF_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/formats/gguf_value.h"
#include "engine/formats/mapped_file.h"
#include "engine/formats/tensor_info.h"

namespace ssmd {

inline constexpr uint64_t kMaxGgufKeys = 1 << 16;
inline constexpr uint64_t kMaxGgufTensors = 1 << 16;
inline constexpr uint64_t kMaxGgufKeyBytes = 65535;      // the format's own limit
inline constexpr uint64_t kMaxGgufTensorNameBytes = 64;  // likewise
inline constexpr uint64_t kMaxGgufDimensions = 4;        // likewise
inline constexpr uint64_t kMaxGgufStringBytes = 16 << 20;
inline constexpr uint64_t kMaxGgufArrayElements = 1 << 24;
inline constexpr uint64_t kMaxGgufAlignment = 1 << 16;

class Gguf {
 public:
  struct Pair {
    std::string_view key;
    GgufValue value;
  };

  // NOT_FOUND where there is no file.
  static absl::StatusOr<Gguf> Open(const std::string& path);
  // A whole file in memory, which must outlive the result. `source` (a file's name) opens every
  // error.
  static absl::StatusOr<Gguf> Parse(const std::byte* data, size_t size, std::string_view source);

  const std::string& source() const { return source_; }
  const std::vector<Pair>& metadata() const { return metadata_; }  // as in the file
  const GgufValue* Find(std::string_view key) const;               // null when absent
  // general.architecture, such as "mamba". INVALID_ARGUMENT where it is missing, or where this is
  // one part of a model that was split into several files.
  absl::StatusOr<std::string_view> Architecture() const;

  // As in the file, under the file's names; shapes are row-major, which is the reverse of the
  // file's order.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const TensorInfo* FindTensor(std::string_view name) const;  // null when absent

  // INVALID_ARGUMENT that names the file and the key.
  absl::Status KeyError(std::string_view key, std::string_view reason) const;

 private:
  Gguf() = default;

  std::string source_;
  std::optional<MappedFile> file_;  // what the rest points into, where Open mapped it
  std::vector<Pair> metadata_;
  std::vector<TensorInfo> tensors_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_GGUF_H_
