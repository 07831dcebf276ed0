// One value of a GGUF file's metadata: a view of the file's bytes, which must outlive it.
#ifndef SSMD_ENGINE_FORMATS_GGUF_VALUE_H_
#define SSMD_ENGINE_FORMATS_GGUF_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ssmd {

// With the format's numbers.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};
std::string_view GgufTypeName(GgufType type);  // "u32", "string"
size_t GgufTypeBytes(GgufType type);           // 0 for strings and arrays

// The strings of an array, each a view: for (const std::string_view text : strings). Nothing is
// copied; they are walked from the front.
class GgufStrings {
 public:
  class Iterator {
   public:
    Iterator(const char* at, uint64_t left) : at_(at), left_(left) {}
    std::string_view operator*() const;
    Iterator& operator++();
    bool operator!=(const Iterator& other) const { return left_ != other.left_; }

   private:
    const char* at_;  // at the length before the string
    uint64_t left_;
  };

  GgufStrings(const char* first, uint64_t size) : first_(first), size_(size) {}
  uint64_t size() const { return size_; }
  Iterator begin() const { return Iterator(first_, size_); }
  Iterator end() const { return Iterator(nullptr, 0); }

 private:
  const char* first_;
  uint64_t size_;
};

class GgufValue {
 public:
  // `bytes` is what the file holds after the type: of a string its text; of an array its elements,
  // whose extents have been checked.
  GgufValue(GgufType type, std::string_view bytes) : type_(type), bytes_(bytes) {}
  GgufValue(GgufType element_type, uint64_t size, std::string_view bytes)
      : type_(GgufType::kArray), element_type_(element_type), size_(size), bytes_(bytes) {}

  GgufType type() const { return type_; }
  bool is_array() const { return type_ == GgufType::kArray; }
  uint64_t size() const { return size_; }  // elements of an array

  // Each is absent where the value is of another type.
  std::optional<bool> AsBool() const;
  std::optional<int64_t> AsInt() const;    // any whole number that fits
  std::optional<double> AsDouble() const;  // f32 or f64
  std::optional<std::string_view> AsString() const;
  std::optional<GgufStrings> AsStrings() const;
  // Element i of an array of whole numbers. REQUIRES: i < size().
  std::optional<int64_t> IntAt(uint64_t i) const;

  // The value in few characters, for error messages.
  std::string Describe() const;

 private:
  GgufType type_;
  GgufType element_type_ = GgufType::kU8;
  uint64_t size_ = 0;
  std::string_view bytes_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_GGUF_VALUE_H_
