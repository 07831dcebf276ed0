#include "engine/formats/gguf_value.h"

#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "engine/base/little_endian.h"
#include "engine/base/text_view.h"
#include "engine/formats/quoted.h"

namespace ssmd {
namespace {

constexpr size_t kStringLengthBytes = sizeof(uint64_t);

template <typename T>
T ReadAs(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

std::optional<int64_t> ReadInt(GgufType type, const char* bytes) {
  switch (type) {
    case GgufType::kU8:
      return ReadAs<uint8_t>(bytes);
    case GgufType::kI8:
      return ReadAs<int8_t>(bytes);
    case GgufType::kU16:
      return ReadAs<uint16_t>(bytes);
    case GgufType::kI16:
      return ReadAs<int16_t>(bytes);
    case GgufType::kU32:
      return ReadAs<uint32_t>(bytes);
    case GgufType::kI32:
      return ReadAs<int32_t>(bytes);
    case GgufType::kI64:
      return ReadAs<int64_t>(bytes);
    case GgufType::kU64: {
      const auto value = ReadAs<uint64_t>(bytes);
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

std::string_view GgufTypeName(GgufType type) {
  switch (type) {
    case GgufType::kU8:
      return "u8";
    case GgufType::kI8:
      return "i8";
    case GgufType::kU16:
      return "u16";
    case GgufType::kI16:
      return "i16";
    case GgufType::kU32:
      return "u32";
    case GgufType::kI32:
      return "i32";
    case GgufType::kF32:
      return "f32";
    case GgufType::kBool:
      return "bool";
    case GgufType::kString:
      return "string";
    case GgufType::kArray:
      return "array";
    case GgufType::kU64:
      return "u64";
    case GgufType::kI64:
      return "i64";
    case GgufType::kF64:
      return "f64";
  }
  return "unknown";
}

size_t GgufTypeBytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      return 0;
  }
  return 0;
}

std::string_view GgufStrings::Iterator::operator*() const {
  return {at_ + kStringLengthBytes, GetLittleEndian<uint64_t>(at_)};
}

GgufStrings::Iterator& GgufStrings::Iterator::operator++() {
  at_ += kStringLengthBytes + GetLittleEndian<uint64_t>(at_);
  --left_;
  return *this;
}

std::optional<bool> GgufValue::AsBool() const {
  if (type_ != GgufType::kBool) return std::nullopt;
  return bytes_[0] != 0;
}

std::optional<int64_t> GgufValue::AsInt() const { return ReadInt(type_, bytes_.data()); }

std::optional<double> GgufValue::AsDouble() const {
  if (type_ == GgufType::kF32) return double{ReadAs<float>(bytes_.data())};
  if (type_ == GgufType::kF64) return ReadAs<double>(bytes_.data());
  return std::nullopt;
}

std::optional<std::string_view> GgufValue::AsString() const {
  if (type_ != GgufType::kString) return std::nullopt;
  return bytes_;
}

std::optional<GgufStrings> GgufValue::AsStrings() const {
  if (!is_array() || element_type_ != GgufType::kString) return std::nullopt;
  return GgufStrings(bytes_.data(), size_);
}

std::optional<int64_t> GgufValue::IntAt(uint64_t i) const {
  if (!is_array()) return std::nullopt;
  return ReadInt(element_type_, bytes_.data() + i * GgufTypeBytes(element_type_));
}

std::string GgufValue::Describe() const {
  if (const auto flag = AsBool()) return *flag ? "true" : "false";
  if (const auto number = AsInt()) return absl::StrCat(*number);
  if (const auto number = AsDouble()) return absl::StrCat(*number);
  if (const auto text = AsString()) return Quoted(*text);
  if (is_array())
    return absl::StrCat("an array of ", size_, " ", View(GgufTypeName(element_type_)));
  return absl::StrCat("a ", View(GgufTypeName(type_)), " of 2^63 or more");
}

}  // namespace ssmd
