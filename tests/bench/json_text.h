// A string as JSON text.
#ifndef SSMD_TESTS_BENCH_JSON_TEXT_H_
#define SSMD_TESTS_BENCH_JSON_TEXT_H_

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <string>

namespace ssmd::bench {

inline std::string JsonText(const std::string& text) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  writer.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
  return buffer.GetString();
}

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_JSON_TEXT_H_
