// JSON as this API writes it: well-formed UTF-8 whatever it is given, and numbers in the shortest
// form that reads back the same.
#ifndef SSMD_SERVER_HTTP_API_JSON_OUT_H_
#define SSMD_SERVER_HTTP_API_JSON_OUT_H_

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ssmd::server {

class JsonOut {
 public:
  JsonOut& Begin();  // an object
  JsonOut& Begin(std::string_view name);
  JsonOut& End();
  JsonOut& BeginList(std::string_view name);
  JsonOut& EndList();

  // Elements.
  JsonOut& Value(std::string_view text);
  JsonOut& Value(int64_t number);
  JsonOut& Value(float number);
  JsonOut& Null();

  // Members.
  JsonOut& Add(std::string_view name, std::string_view text);
  JsonOut& Add(std::string_view name, const char* text) {
    return Add(name, std::string_view(text));
  }
  JsonOut& Add(std::string_view name, int64_t number);
  JsonOut& Add(std::string_view name, float number);
  JsonOut& Add(std::string_view name, double number);
  JsonOut& AddUnsigned(std::string_view name, uint64_t number);
  JsonOut& AddFlag(std::string_view name, bool value);
  JsonOut& AddNull(std::string_view name);
  // Null for an empty one.
  JsonOut& AddOrNull(std::string_view name, std::string_view text);

  std::string Take() const { return {buffer_.GetString(), buffer_.GetSize()}; }

 private:
  void Key(std::string_view name);
  void Text(std::string_view text);
  template <typename Number>
  void Shortest(Number number);

  rapidjson::StringBuffer buffer_;
  rapidjson::Writer<rapidjson::StringBuffer> writer_{buffer_};
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_HTTP_API_JSON_OUT_H_
