// A strict, bounded JSON reader for files that may be hostile.
//
// Parsing keeps its stack on the heap, so nesting cannot overflow the thread's; bytes, depth and
// number of values have limits; duplicate keys, invalid UTF-8 (lone surrogate escapes included) and
// trailing text are errors that name the source, the byte and the reason. Strings are decoded in
// place: a document costs its text plus 16 bytes a value and 32 a member.
// A JsonDocument is immutable and thread-safe once parsed; a JsonValue is a view into it.
#ifndef SSMD_ENGINE_FORMATS_JSON_H_
#define SSMD_ENGINE_FORMATS_JSON_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "rapidjson/document.h"

namespace ssmd {

struct JsonLimits {
  size_t bytes = size_t{1} << 20;
  size_t values = size_t{1} << 20;  // members' values included, keys not
  int depth = 64;                   // of nested arrays and objects
  // Accepts NaN, Infinity and -Infinity, which Python writes into config.json.
  bool allow_non_finite = false;
};

class JsonArray;
class JsonObject;

// One value, as a view: cheap to copy, valid while its JsonDocument lives.
class JsonValue {
 public:
  explicit JsonValue(const rapidjson::Value* value) : value_(value) {}

  bool is_null() const { return value_->IsNull(); }
  bool is_bool() const { return value_->IsBool(); }
  bool is_number() const { return value_->IsNumber(); }
  bool is_string() const { return value_->IsString(); }
  bool is_array() const { return value_->IsArray(); }
  bool is_object() const { return value_->IsObject(); }

  // Each is absent where the value is of another type.
  std::optional<bool> AsBool() const;
  std::optional<int64_t> AsInt() const;  // literals without fraction or exponent that fit
  std::optional<double> AsDouble() const;
  std::optional<std::string_view> AsString() const;

  // Elements or members in the order of the text; none where the value is of another type.
  JsonArray elements() const;
  JsonObject members() const;

  // The member named `key`, by linear search: for small objects. Absent also where the value is no
  // object.
  std::optional<JsonValue> Find(std::string_view key) const;

  // The value as JSON again, without white space.
  std::string ToJson() const;

  // The value in at most 64 characters, for error messages.
  std::string Describe() const;

 private:
  const rapidjson::Value* value_;
};

class JsonArray {
 public:
  class Iterator {
   public:
    explicit Iterator(const rapidjson::Value* at) : at_(at) {}
    JsonValue operator*() const { return JsonValue(at_); }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    const rapidjson::Value* at_;
  };

  JsonArray(const rapidjson::Value* first, size_t size) : first_(first), size_(size) {}
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  JsonValue operator[](size_t i) const { return JsonValue(first_ + i); }  // REQUIRES: i < size()
  Iterator begin() const { return Iterator(first_); }
  Iterator end() const { return size_ == 0 ? Iterator(first_) : Iterator(first_ + size_); }

 private:
  const rapidjson::Value* first_;
  size_t size_;
};

// Members are (key, value) pairs: for (const auto& [key, value] : object.members()).
class JsonObject {
 public:
  using Member = rapidjson::Value::Member;

  class Iterator {
   public:
    explicit Iterator(const Member* at) : at_(at) {}
    std::pair<std::string_view, JsonValue> operator*() const {
      return {std::string_view(at_->name.GetString(), at_->name.GetStringLength()),
              JsonValue(&at_->value)};
    }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    const Member* at_;
  };

  JsonObject(const Member* first, size_t size) : first_(first), size_(size) {}
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  Iterator begin() const { return Iterator(first_); }
  Iterator end() const { return size_ == 0 ? Iterator(first_) : Iterator(first_ + size_); }

 private:
  const Member* first_;
  size_t size_;
};

class JsonDocument {
 public:
  // Parses one JSON text. `source` (a file's name) opens every error. INVALID_ARGUMENT where the
  // text is not JSON or a limit is passed.
  static absl::StatusOr<JsonDocument> Parse(std::string text, std::string_view source,
                                            const JsonLimits& limits);

  // Reads and parses a regular file; its last path component is the `source` of errors. NOT_FOUND
  // where there is none.
  static absl::StatusOr<JsonDocument> ParseFile(const std::string& path, const JsonLimits& limits);

  JsonDocument(JsonDocument&&) noexcept;
  JsonDocument& operator=(JsonDocument&&) noexcept;
  ~JsonDocument();

  JsonValue root() const;

 private:
  struct Contents;
  explicit JsonDocument(std::unique_ptr<Contents> contents);

  std::unique_ptr<Contents> contents_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_JSON_H_
