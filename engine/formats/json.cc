// The DOM is rapidjson's; this file drives its in-place SAX reader through a handler that enforces
// what the library does not: limits, duplicate keys and surrogates. Two parts of the packaged
// library read out of bounds on hostile input and are not used: its UTF-8 validation (a character
// cut short by the end of the text) and its conversion of numbers (very long fractions).
#include "engine/formats/json.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/charconv.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status_macros.h"
#include "engine/formats/mapped_file.h"
#include "rapidjson/error/en.h"
#include "rapidjson/reader.h"
#include "rapidjson/stringbuffer.h"
#include "rapidjson/writer.h"
#include "utf8proc.h"

namespace ssmd {
namespace {

constexpr size_t kMaxNumberBytes = 64;
constexpr size_t kMaxDescription = 64;

// Builds a rapidjson::Document from the reader's events. An event that is refused leaves its reason
// in reason() and stops the reader.
class Handler {
 public:
  Handler(rapidjson::Document* document, const JsonLimits& limits)
      : document_(document), limits_(limits) {}

  bool Null() { return CountValue() && document_->Null(); }
  bool Bool(bool value) { return CountValue() && document_->Bool(value); }

  bool RawNumber(const char* data, rapidjson::SizeType size, bool) {
    return CountValue() && Number(absl::string_view(data, size));
  }

  bool String(const char* data, rapidjson::SizeType size, bool) {
    return CountValue() && CheckText(data, size) && document_->String(data, size, false);
  }

  bool Key(const char* data, rapidjson::SizeType size, bool) {
    if (!CheckText(data, size)) return false;
    if (!keys_.emplace(open_.back(), absl::string_view(data, size)).second) {
      return Refuse(absl::StrCat("duplicate key \"", Excerpt(absl::string_view(data, size)), "\""));
    }
    return document_->Key(data, size, false);
  }

  bool StartObject() { return CountValue() && Open() && document_->StartObject(); }
  bool EndObject(rapidjson::SizeType members) {
    open_.pop_back();
    return document_->EndObject(members);
  }
  bool StartArray() { return CountValue() && Open() && document_->StartArray(); }
  bool EndArray(rapidjson::SizeType elements) {
    open_.pop_back();
    return document_->EndArray(elements);
  }

  // The reader's number events; it is told to report raw numbers only.
  bool Int(int) { return Unexpected(); }
  bool Uint(unsigned) { return Unexpected(); }
  bool Int64(int64_t) { return Unexpected(); }
  bool Uint64(uint64_t) { return Unexpected(); }
  bool Double(double) { return Unexpected(); }

  const std::string& reason() const { return reason_; }

 private:
  static std::string Excerpt(absl::string_view text) {
    return absl::CHexEscape(text.substr(0, kMaxDescription));
  }

  bool Refuse(std::string reason) {
    reason_ = std::move(reason);
    return false;
  }
  bool Unexpected() { return Refuse("unexpected number"); }

  bool CountValue() {
    if (++values_ <= limits_.values) return true;
    return Refuse(absl::StrCat("more than ", limits_.values, " values"));
  }

  bool Open() {
    if (open_.size() >= static_cast<size_t>(limits_.depth)) {
      return Refuse(absl::StrCat("nested deeper than ", limits_.depth));
    }
    open_.push_back(values_);
    return true;
  }

  // The text is UTF-8 as written, but the reader lets an escaped low surrogate without a high one
  // through as three bytes ED B0..BF xx. ED followed by A0.. is a surrogate and nothing else.
  bool CheckText(const char* data, size_t size) {
    const char* const end = data + size;
    for (const char* at = data; at < end; ++at) {
      at = static_cast<const char*>(std::memchr(at, 0xED, static_cast<size_t>(end - at)));
      if (at == nullptr) return true;
      if (at + 1 < end && static_cast<unsigned char>(at[1]) >= 0xA0) {
        return Refuse("escaped surrogate without its other half");
      }
    }
    return true;
  }

  bool Number(absl::string_view text) {
    if (text == "NaN") return document_->Double(std::numeric_limits<double>::quiet_NaN());
    if (text == "Infinity") return document_->Double(std::numeric_limits<double>::infinity());
    if (text == "-Infinity") return document_->Double(-std::numeric_limits<double>::infinity());
    if (text.find_first_of("IN") != text.npos) return Refuse("invalid number");
    if (text.size() > kMaxNumberBytes) {
      return Refuse(absl::StrCat("number longer than ", kMaxNumberBytes, " characters"));
    }
    int64_t integer = 0;
    if (text.find_first_of(".eE") == text.npos && absl::SimpleAtoi(text, &integer)) {
      return document_->Int64(integer);
    }
    double value = 0;
    const auto result = absl::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec == std::errc::result_out_of_range) {
      if (std::fabs(value) >= 1) return Refuse("number too large for a double");
    } else if (result.ec != std::errc() || result.ptr != text.data() + text.size()) {
      return Refuse("invalid number");
    }
    return document_->Double(value);
  }

  rapidjson::Document* document_;
  const JsonLimits& limits_;
  size_t values_ = 0;
  std::vector<size_t> open_;  // serial numbers of the open arrays and objects
  absl::flat_hash_set<std::pair<size_t, absl::string_view>> keys_;  // (serial of the object, key)
  std::string reason_;
};

// Offset of the first byte that is not part of a whole character; the text's size for UTF-8.
size_t FirstInvalidUtf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    utf8proc_int32_t code_point = 0;
    const auto bytes =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(&text[at]),
                         static_cast<utf8proc_ssize_t>(text.size() - at), &code_point);
    if (bytes <= 0) return at;
    at += static_cast<size_t>(bytes);
  }
  return at;
}

constexpr unsigned kStrict = rapidjson::kParseInsituFlag | rapidjson::kParseIterativeFlag |
                             rapidjson::kParseNumbersAsStringsFlag;

rapidjson::ParseResult Read(char* text, bool allow_non_finite, Handler* handler) {
  rapidjson::Reader reader;
  rapidjson::InsituStringStream stream(text);
  return allow_non_finite ? reader.Parse<kStrict | rapidjson::kParseNanAndInfFlag>(stream, *handler)
                          : reader.Parse<kStrict>(stream, *handler);
}

absl::Status Invalid(std::string_view source, size_t byte, absl::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat(absl::string_view(source.data(), source.size()), ": byte ", byte, ": ", reason));
}

}  // namespace

std::optional<bool> JsonValue::AsBool() const {
  if (!value_->IsBool()) return std::nullopt;
  return value_->GetBool();
}

std::optional<int64_t> JsonValue::AsInt() const {
  if (!value_->IsInt64()) return std::nullopt;
  return value_->GetInt64();
}

std::optional<double> JsonValue::AsDouble() const {
  if (!value_->IsNumber()) return std::nullopt;
  return value_->GetDouble();
}

std::optional<std::string_view> JsonValue::AsString() const {
  if (!value_->IsString()) return std::nullopt;
  return std::string_view(value_->GetString(), value_->GetStringLength());
}

JsonArray JsonValue::elements() const {
  if (!value_->IsArray() || value_->Empty()) return JsonArray(nullptr, 0);
  return JsonArray(value_->Begin(), value_->Size());
}

JsonObject JsonValue::members() const {
  if (!value_->IsObject() || value_->ObjectEmpty()) return JsonObject(nullptr, 0);
  return JsonObject(&*value_->MemberBegin(), value_->MemberCount());
}

std::optional<JsonValue> JsonValue::Find(std::string_view key) const {
  for (const auto& [name, value] : members()) {
    if (name == key) return value;
  }
  return std::nullopt;
}

std::string JsonValue::ToJson() const {
  rapidjson::StringBuffer text;
  rapidjson::Writer<rapidjson::StringBuffer> writer(text);
  value_->Accept(writer);
  return {text.GetString(), text.GetSize()};
}

std::string JsonValue::Describe() const {
  if (is_null()) return "null";
  if (is_bool()) return value_->GetBool() ? "true" : "false";
  if (value_->IsInt64()) return absl::StrCat(value_->GetInt64());
  if (is_number()) return absl::StrCat(value_->GetDouble());
  if (is_array()) return absl::StrCat("an array of ", value_->Size());
  if (is_object()) return absl::StrCat("an object of ", value_->MemberCount(), " members");
  constexpr size_t kShown = 12;  // an escaped byte takes up to four characters
  const absl::string_view text(value_->GetString(), value_->GetStringLength());
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kShown)),
                      text.size() > kShown ? "…\"" : "\"");
}

// The DOM's strings point into `text`.
struct JsonDocument::Contents {
  std::string text;
  rapidjson::Document document;
};

JsonDocument::JsonDocument(std::unique_ptr<Contents> contents) : contents_(std::move(contents)) {}
JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument& JsonDocument::operator=(JsonDocument&&) noexcept = default;
JsonDocument::~JsonDocument() = default;

JsonValue JsonDocument::root() const { return JsonValue(&contents_->document); }

absl::StatusOr<JsonDocument> JsonDocument::Parse(std::string text, std::string_view source,
                                                 const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    return Invalid(source, limits.bytes, absl::StrCat("longer than ", limits.bytes, " bytes"));
  }
  // The reader takes NUL for the end of the text; JSON has no place for one.
  if (const size_t nul = text.find('\0'); nul != std::string::npos) {
    return Invalid(source, nul, "a NUL byte");
  }
  if (const size_t at = FirstInvalidUtf8(text); at != text.size()) {
    return Invalid(source, at, "not UTF-8");
  }
  auto contents = std::make_unique<Contents>();
  contents->text = std::move(text);
  Handler handler(&contents->document, limits);
  rapidjson::ParseResult result;
  auto generate = [&](rapidjson::Document&) {
    result = Read(contents->text.data(), limits.allow_non_finite, &handler);
    return !result.IsError();
  };
  contents->document.Populate(generate);
  if (result.IsError()) {
    return Invalid(source, result.Offset(),
                   result.Code() == rapidjson::kParseErrorTermination
                       ? handler.reason()
                       : rapidjson::GetParseError_En(result.Code()));
  }
  return JsonDocument(std::move(contents));
}

absl::StatusOr<JsonDocument> JsonDocument::ParseFile(const std::string& path,
                                                     const JsonLimits& limits) {
  SSMD_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path, limits.bytes));
  const auto* text = reinterpret_cast<const char*>(file.data());
  return Parse(std::string(text, file.size()), file.name(), limits);
}

}  // namespace ssmd
