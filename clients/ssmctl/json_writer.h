// Writes one JSON document: well-formed UTF-8 whatever it is given, and numbers that read back as
// the same numbers (floats in their shortest such form; what JSON cannot say, null).
#ifndef SSMD_CLIENTS_SSMCTL_JSON_WRITER_H_
#define SSMD_CLIENTS_SSMCTL_JSON_WRITER_H_

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace ssmd::ctl {

class JsonWriter {
 public:
  JsonWriter& BeginObject();
  JsonWriter& EndObject();
  JsonWriter& BeginArray();
  JsonWriter& EndArray();
  // The name of the next value, inside an object.
  JsonWriter& Key(std::string_view name);

  JsonWriter& String(std::string_view text);
  JsonWriter& Int(int64_t value);
  JsonWriter& Unsigned(uint64_t value);
  JsonWriter& Bool(bool value);
  JsonWriter& Float(float value);
  JsonWriter& Double(double value);
  // An array of integers, from anything that iterates over them.
  template <typename List>
  JsonWriter& Ids(const List& ids) {
    BeginArray();
    for (const auto id : ids) Int(id);
    return EndArray();
  }

  std::string Take() const { return {buffer_.GetString(), buffer_.GetSize()}; }

 private:
  template <typename Number>
  JsonWriter& Shortest(Number value);

  rapidjson::StringBuffer buffer_;
  rapidjson::Writer<rapidjson::StringBuffer> writer_{buffer_};
};

}  // namespace ssmd::ctl

#endif  // SSMD_CLIENTS_SSMCTL_JSON_WRITER_H_
