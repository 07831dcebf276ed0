// See json_out.h.
#include "server/http/api/json_out.h"

#include <charconv>
#include <cmath>

#include "engine/text/utf8.h"

namespace ssmd::server {
namespace {

// What is no UTF-8 becomes U+FFFD.
std::string WellFormed(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Step step = NextUtf8(text);
    if (step.kind == Utf8Kind::kCharacter) {
      out += text.substr(0, step.bytes);
    } else {
      out += "\xef\xbf\xbd";
    }
    text.remove_prefix(step.bytes);
  }
  return out;
}

}  // namespace

JsonOut& JsonOut::Begin() {
  writer_.StartObject();
  return *this;
}
JsonOut& JsonOut::Begin(std::string_view name) {
  Key(name);
  return Begin();
}
JsonOut& JsonOut::End() {
  writer_.EndObject();
  return *this;
}
JsonOut& JsonOut::BeginList(std::string_view name) {
  Key(name);
  writer_.StartArray();
  return *this;
}
JsonOut& JsonOut::EndList() {
  writer_.EndArray();
  return *this;
}

JsonOut& JsonOut::Value(std::string_view text) {
  Text(text);
  return *this;
}
JsonOut& JsonOut::Value(int64_t number) {
  writer_.Int64(number);
  return *this;
}
JsonOut& JsonOut::Value(float number) {
  Shortest(number);
  return *this;
}
JsonOut& JsonOut::Null() {
  writer_.Null();
  return *this;
}

JsonOut& JsonOut::Add(std::string_view name, std::string_view text) {
  Key(name);
  return Value(text);
}
JsonOut& JsonOut::Add(std::string_view name, int64_t number) {
  Key(name);
  return Value(number);
}
JsonOut& JsonOut::Add(std::string_view name, float number) {
  Key(name);
  return Value(number);
}
JsonOut& JsonOut::Add(std::string_view name, double number) {
  Key(name);
  Shortest(number);
  return *this;
}
JsonOut& JsonOut::AddUnsigned(std::string_view name, uint64_t number) {
  Key(name);
  writer_.Uint64(number);
  return *this;
}
JsonOut& JsonOut::AddFlag(std::string_view name, bool value) {
  Key(name);
  writer_.Bool(value);
  return *this;
}
JsonOut& JsonOut::AddNull(std::string_view name) {
  Key(name);
  return Null();
}
JsonOut& JsonOut::AddOrNull(std::string_view name, std::string_view text) {
  return text.empty() ? AddNull(name) : Add(name, text);
}

void JsonOut::Key(std::string_view name) {
  writer_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
}

void JsonOut::Text(std::string_view text) {
  if (!FindInvalidUtf8(text).has_value()) {
    writer_.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
    return;
  }
  const std::string valid = WellFormed(text);
  writer_.String(valid.data(), static_cast<rapidjson::SizeType>(valid.size()));
}

template <typename Number>
void JsonOut::Shortest(Number number) {
  if (!std::isfinite(number)) {
    writer_.Null();
    return;
  }
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
  writer_.RawValue(digits, static_cast<size_t>(end - digits), rapidjson::kNumberType);
}

}  // namespace ssmd::server
