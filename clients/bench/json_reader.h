// Strict, bounded reading of JSON that came from elsewhere: a server's answers and files of
// conversations. Nesting is limited and kept on the heap, bytes are limited, text must be UTF-8.
//
// What is read is rapidjson's DOM, used through the functions below, which take what is missing or
// of another type for absent.
#ifndef SSMD_CLIENTS_BENCH_JSON_READER_H_
#define SSMD_CLIENTS_BENCH_JSON_READER_H_

#include <rapidjson/document.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ssmd::bench {

struct JsonBounds {
  size_t bytes = size_t{1} << 20;
  int depth = 32;  // of nested arrays and objects
};

// One value after the other from a text that holds any number of them (a document, or JSON lines).
class JsonStream {
 public:
  // `text` outlives it. Where it is too long, not UTF-8 or holds a NUL, Next() fails at once.
  JsonStream(std::string_view text, const JsonBounds& bounds);

  // The next value, into `document`; false at the end, or where error() says what is wrong.
  bool Next(rapidjson::Document* document);
  // Empty: none. Says the line.
  const std::string& error() const { return error_; }

 private:
  void SkipSpace();
  bool Fail(size_t at, const std::string& reason);

  std::string_view text_;
  const JsonBounds bounds_;
  size_t at_ = 0;
  size_t known_at_ = 0;  // where line_ is
  size_t line_ = 1;
  std::string error_;
};

// A text that is one value; what is wrong with it otherwise, into *error.
bool ParseJson(std::string_view text, const JsonBounds& bounds, rapidjson::Document* document,
               std::string* error);

// The member of that name; null where there is none, or `value` is null or no object.
const rapidjson::Value* Member(const rapidjson::Value* value, const char* name);
std::optional<std::string_view> StringOf(const rapidjson::Value* value);
std::optional<int64_t> IntOf(const rapidjson::Value* value);

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_JSON_READER_H_
