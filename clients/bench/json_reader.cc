// The packaged rapidjson reads out of bounds on hostile input in two places, its own check of UTF-8
// and its conversion of long numbers, so that neither is used; and it sets no limit to nesting, so
// that the events of its SAX reader pass through a handler that does.
#include "clients/bench/json_reader.h"

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "clients/ssmctl/text.h"

namespace ssmd::bench {
namespace {

class BoundedEvents {
 public:
  BoundedEvents(rapidjson::Document* document, int depth_max)
      : document_(document), depth_max_(depth_max) {}

  bool Null() { return document_->Null(); }
  bool Bool(bool value) { return document_->Bool(value); }
  bool RawNumber(const char* data, rapidjson::SizeType size, bool) {
    int64_t integer = 0;
    if (Converts(data, size, &integer)) return document_->Int64(integer);
    double real = 0;
    return Converts(data, size, &real) && document_->Double(real);
  }
  bool String(const char* data, rapidjson::SizeType size, bool) {
    return IsText(data, size) && document_->String(data, size, true);
  }
  bool Key(const char* data, rapidjson::SizeType size, bool) {
    return IsText(data, size) && document_->Key(data, size, true);
  }
  bool StartObject() { return Open() && document_->StartObject(); }
  bool EndObject(rapidjson::SizeType members) {
    --depth_;
    return document_->EndObject(members);
  }
  bool StartArray() { return Open() && document_->StartArray(); }
  bool EndArray(rapidjson::SizeType elements) {
    --depth_;
    return document_->EndArray(elements);
  }
  // Numbers come raw.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(int64_t) { return false; }
  bool Uint64(uint64_t) { return false; }
  bool Double(double) { return false; }

  bool too_deep() const { return depth_ > depth_max_; }

 private:
  // The text is UTF-8 as written, but the reader lets an escaped low surrogate without its other
  // half through, as bytes that begin with ED.
  static bool IsText(const char* data, size_t size) {
    return std::memchr(data, 0xED, size) == nullptr ||
           !ctl::FirstInvalidUtf8({data, size}).has_value();
  }
  template <typename Number>
  static bool Converts(const char* data, size_t size, Number* value) {
    const auto [end, error] = std::from_chars(data, data + size, *value);
    return error == std::errc() && end == data + size;
  }
  bool Open() { return ++depth_ <= depth_max_; }

  rapidjson::Document* const document_;
  const int depth_max_;
  int depth_ = 0;
};

constexpr unsigned kReading = rapidjson::kParseIterativeFlag |
                              rapidjson::kParseNumbersAsStringsFlag |
                              rapidjson::kParseStopWhenDoneFlag;

}  // namespace

JsonStream::JsonStream(std::string_view text, const JsonBounds& bounds)
    : text_(text), bounds_(bounds) {
  if (text.size() > bounds.bytes) {
    Fail(0, "longer than " + std::to_string(bounds.bytes) + " bytes");
  } else if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    Fail(nul, "a NUL byte");
  } else if (const auto invalid = ctl::FirstInvalidUtf8(text)) {
    Fail(*invalid, "not UTF-8");
  }
  SkipSpace();
}

void JsonStream::SkipSpace() {
  at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
}

bool JsonStream::Fail(size_t at, const std::string& reason) {
  const auto begin = text_.begin() + static_cast<std::ptrdiff_t>(known_at_);
  const auto end = text_.begin() + static_cast<std::ptrdiff_t>(std::max(known_at_, at));
  line_ += static_cast<size_t>(std::count(begin, end, '\n'));
  error_ = "line " + std::to_string(line_) + ": " + reason;
  return false;
}

bool JsonStream::Next(rapidjson::Document* document) {
  if (!error_.empty() || at_ == text_.size()) return false;
  rapidjson::MemoryStream bytes(text_.data() + at_, text_.size() - at_);
  BoundedEvents events(document, bounds_.depth);
  rapidjson::ParseResult result;
  rapidjson::Document fresh;
  document->Swap(fresh);  // what it held before goes with its memory
  const auto generate = [&](rapidjson::Document&) {
    rapidjson::Reader reader;
    result = reader.Parse<kReading>(bytes, events);
    return !result.IsError();
  };
  document->Populate(generate);
  if (result.IsError()) {
    const bool refused = result.Code() == rapidjson::kParseErrorTermination;
    return Fail(at_ + std::min(result.Offset(), text_.size() - at_),
                !refused            ? rapidjson::GetParseError_En(result.Code())
                : events.too_deep() ? "nested deeper than " + std::to_string(bounds_.depth)
                                    : "a number or a character that cannot be");
  }
  at_ += bytes.Tell();
  SkipSpace();
  return true;
}

bool ParseJson(std::string_view text, const JsonBounds& bounds, rapidjson::Document* document,
               std::string* error) {
  JsonStream stream(text, bounds);
  rapidjson::Document more;
  if (!stream.Next(document)) {
    *error = stream.error().empty() ? "empty" : stream.error();
    return false;
  }
  if (stream.Next(&more) || !stream.error().empty()) {
    *error = "more than one JSON value";
    return false;
  }
  return true;
}

const rapidjson::Value* Member(const rapidjson::Value* value, const char* name) {
  if (value == nullptr || !value->IsObject()) return nullptr;
  const auto found = value->FindMember(name);
  return found == value->MemberEnd() ? nullptr : &found->value;
}

std::optional<std::string_view> StringOf(const rapidjson::Value* value) {
  if (value == nullptr || !value->IsString()) return std::nullopt;
  return std::string_view(value->GetString(), value->GetStringLength());
}

std::optional<int64_t> IntOf(const rapidjson::Value* value) {
  if (value == nullptr || !value->IsInt64()) return std::nullopt;
  return value->GetInt64();
}

}  // namespace ssmd::bench
