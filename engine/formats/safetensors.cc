#include "engine/formats/safetensors.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"
#include "engine/formats/json.h"
#include "engine/formats/quoted.h"

namespace ssmd {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxHeaderValues = size_t{1} << 22;

// The types of this format are the plain ones, which the enumeration has first.
std::optional<TensorType> TypeNamed(std::optional<std::string_view> name) {
  for (uint8_t i = 0; i <= static_cast<uint8_t>(TensorType::kF64); ++i) {
    const auto type = static_cast<TensorType>(i);
    if (name == TensorTypeName(type)) return type;
  }
  return std::nullopt;
}

// Where the tensor's bytes lie, counted from the start of the data section.
struct Extent {
  uint64_t begin = 0;
  uint64_t end = 0;
  size_t tensor = 0;  // index into the result
};

class HeaderReader {
 public:
  HeaderReader(std::string_view source, const std::byte* data, size_t data_bytes)
      : source_(source), data_(data), data_bytes_(data_bytes) {}

  absl::Status Read(JsonValue root);
  std::vector<TensorInfo> TakeTensors() { return std::move(tensors_); }

 private:
  absl::Status Error(std::string_view tensor, absl::string_view reason) const {
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(source_), ": tensor ", Quoted(tensor), ": ", reason));
  }

  absl::Status ReadMetadata(JsonValue metadata) const;
  absl::Status ReadTensor(std::string_view name, JsonValue entry);
  absl::Status ReadShape(JsonValue value, TensorInfo* tensor) const;
  absl::Status ReadExtent(JsonValue value, std::string_view name, Extent* extent) const;
  absl::Status CheckCover();

  std::string_view source_;
  const std::byte* data_;
  size_t data_bytes_;
  std::vector<TensorInfo> tensors_;
  std::vector<Extent> extents_;
};

absl::Status HeaderReader::Read(JsonValue root) {
  if (!root.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(source_), ": the header is not a JSON object"));
  }
  tensors_.reserve(root.members().size());
  extents_.reserve(root.members().size());
  for (const auto& [name, entry] : root.members()) {
    if (name == "__metadata__") {
      SSMD_RETURN_IF_ERROR(ReadMetadata(entry));
    } else {
      SSMD_RETURN_IF_ERROR(ReadTensor(name, entry));
    }
  }
  return CheckCover();
}

absl::Status HeaderReader::ReadMetadata(JsonValue metadata) const {
  bool valid = metadata.is_object();
  for (const auto& [key, value] : metadata.members()) valid = valid && value.is_string();
  if (valid) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(std::string(source_), ": __metadata__ is not an object of strings"));
}

absl::Status HeaderReader::ReadTensor(std::string_view name, JsonValue entry) {
  const auto type_value = entry.Find("dtype");
  const auto shape = entry.Find("shape");
  const auto offsets = entry.Find("data_offsets");
  if (!type_value || !shape || !offsets || entry.members().size() != 3) {
    return Error(name, "must have exactly dtype, shape and data_offsets");
  }
  TensorInfo tensor;
  tensor.name = std::string(name);
  const auto type = TypeNamed(type_value->AsString());
  if (!type) return Error(name, absl::StrCat("unknown dtype ", type_value->Describe()));
  tensor.type = *type;
  SSMD_RETURN_IF_ERROR(ReadShape(*shape, &tensor));
  Extent extent;
  SSMD_RETURN_IF_ERROR(ReadExtent(*offsets, name, &extent));

  uint64_t bytes = 0;
  const bool overflows = __builtin_mul_overflow(static_cast<uint64_t>(tensor.elements),
                                                TensorTypeBytes(tensor.type), &bytes);
  if (overflows || bytes != extent.end - extent.begin) {
    return Error(name, absl::StrCat("shape ", DescribeShape(tensor.shape), " of ",
                                    type_value->Describe(), " does not take the ",
                                    extent.end - extent.begin, " bytes of its data_offsets"));
  }
  tensor.data = data_ + extent.begin;
  tensor.bytes = bytes;
  extent.tensor = tensors_.size();
  extents_.push_back(extent);
  tensors_.push_back(std::move(tensor));
  return absl::OkStatus();
}

absl::Status HeaderReader::ReadShape(JsonValue value, TensorInfo* tensor) const {
  if (!value.is_array()) return Error(tensor->name, "shape is not an array");
  if (value.elements().size() > kMaxTensorDimensions) {
    return Error(tensor->name, absl::StrCat("has more than ", kMaxTensorDimensions, " dimensions"));
  }
  tensor->elements = 1;
  for (const JsonValue element : value.elements()) {
    const auto dimension = element.AsInt();
    if (!dimension || *dimension < 0) {
      return Error(tensor->name, absl::StrCat("dimension ", element.Describe(),
                                              " is not a whole number of at least 0"));
    }
    if (__builtin_mul_overflow(tensor->elements, *dimension, &tensor->elements)) {
      return Error(tensor->name, "the product of its dimensions is too large");
    }
    tensor->shape.push_back(*dimension);
  }
  return absl::OkStatus();
}

absl::Status HeaderReader::ReadExtent(JsonValue value, std::string_view name,
                                      Extent* extent) const {
  const JsonArray offsets = value.elements();
  if (offsets.size() != 2) return Error(name, "data_offsets is not a pair");
  const auto begin = offsets[0].AsInt();
  const auto end = offsets[1].AsInt();
  if (!begin || !end || *begin < 0 || *end < *begin) {
    return Error(name, absl::StrCat("data_offsets [", offsets[0].Describe(), ", ",
                                    offsets[1].Describe(), "] is not an ascending pair"));
  }
  if (static_cast<uint64_t>(*end) > data_bytes_) {
    return Error(name, absl::StrCat("data_offsets [", *begin, ", ", *end,
                                    "] passes the end of the ", data_bytes_, " bytes of data"));
  }
  extent->begin = static_cast<uint64_t>(*begin);
  extent->end = static_cast<uint64_t>(*end);
  return absl::OkStatus();
}

absl::Status HeaderReader::CheckCover() {
  std::sort(extents_.begin(), extents_.end(), [](const Extent& a, const Extent& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t covered = 0;
  for (const Extent& extent : extents_) {
    if (extent.begin != covered) {
      return Error(tensors_[extent.tensor].name,
                   absl::StrCat(extent.begin < covered ? "overlaps another tensor"
                                                       : "leaves a hole before it",
                                ": starts at ", extent.begin, " instead of ", covered));
    }
    covered = extent.end;
  }
  if (covered != data_bytes_) {
    return absl::InvalidArgumentError(absl::StrCat(
        std::string(source_), ": ", data_bytes_ - covered, " bytes after the last tensor"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<TensorInfo>> ParseSafetensors(const std::byte* data, size_t size,
                                                         std::string_view source) {
  const auto error = [&](const std::string& reason) {
    return absl::InvalidArgumentError(absl::StrCat(std::string(source), ": ", reason));
  };
  if (size < kLengthBytes) {
    return error(absl::StrCat("holds ", size, " bytes: too short for a safetensors file"));
  }
  uint64_t header_bytes = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    header_bytes |= static_cast<uint64_t>(data[i]) << (8 * i);
  }
  if (header_bytes > kMaxSafetensorsHeaderBytes) {
    return error(absl::StrCat("a header of ", header_bytes, " bytes is more than the ",
                              kMaxSafetensorsHeaderBytes, " allowed: not a safetensors file?"));
  }
  if (header_bytes > size - kLengthBytes) {
    return error(
        absl::StrCat("is cut short: a header of ", header_bytes, " bytes in a file of ", size));
  }
  const auto* header = reinterpret_cast<const char*>(data + kLengthBytes);
  if (header_bytes == 0 || header[0] != '{') return error("the header does not open with {");

  JsonLimits limits;
  limits.bytes = kMaxSafetensorsHeaderBytes;
  limits.values = kMaxHeaderValues;
  limits.depth = 4;
  SSMD_ASSIGN_OR_RETURN(const JsonDocument document,
                        JsonDocument::Parse(std::string(header, header_bytes),
                                            std::string(source) + " header", limits));
  const size_t data_start = kLengthBytes + header_bytes;
  HeaderReader reader(source, data + data_start, size - data_start);
  SSMD_RETURN_IF_ERROR(reader.Read(document.root()));
  return reader.TakeTensors();
}

}  // namespace ssmd
