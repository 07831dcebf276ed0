#include "clients/ssmctl/json_writer.h"

#include <charconv>
#include <cmath>

#include "clients/ssmctl/text.h"

namespace ssmd::ctl {

JsonWriter& JsonWriter::BeginObject() {
  writer_.StartObject();
  return *this;
}

JsonWriter& JsonWriter::EndObject() {
  writer_.EndObject();
  return *this;
}

JsonWriter& JsonWriter::BeginArray() {
  writer_.StartArray();
  return *this;
}

JsonWriter& JsonWriter::EndArray() {
  writer_.EndArray();
  return *this;
}

JsonWriter& JsonWriter::Key(std::string_view name) {
  writer_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
  return *this;
}

JsonWriter& JsonWriter::String(std::string_view text) {
  const std::string valid = LossyUtf8(text);
  writer_.String(valid.data(), static_cast<rapidjson::SizeType>(valid.size()));
  return *this;
}

JsonWriter& JsonWriter::Int(int64_t value) {
  writer_.Int64(value);
  return *this;
}

JsonWriter& JsonWriter::Unsigned(uint64_t value) {
  writer_.Uint64(value);
  return *this;
}

JsonWriter& JsonWriter::Bool(bool value) {
  writer_.Bool(value);
  return *this;
}

JsonWriter& JsonWriter::Float(float value) { return Shortest(value); }
JsonWriter& JsonWriter::Double(double value) { return Shortest(value); }

template <typename Number>
JsonWriter& JsonWriter::Shortest(Number value) {
  if (!std::isfinite(value)) {
    writer_.Null();
    return *this;
  }
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  writer_.RawValue(digits, static_cast<size_t>(end - digits), rapidjson::kNumberType);
  return *this;
}

}  // namespace ssmd::ctl
