// Any bytes as tokenizer.json: refused, or a tokenizer that encodes text (the file itself, which is
// UTF-8 then) into ids that it knows.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "engine/formats/json.h"
#include "engine/text/byte_level_bpe.h"
#include "engine/text/tokenizer_json.h"

namespace {

constexpr ssmd::JsonLimits kLimits = {.bytes = 1 << 16, .values = 4096, .depth = 16};

void CheckEncode(const ssmd::Tokenizer& tokenizer, std::string_view text, bool parse_special) {
  const auto ids = tokenizer.Encode(text, {.parse_special = parse_special});
  if (!ids.ok()) return;
  for (const int32_t id : *ids) {
    if (id < 0 || id >= tokenizer.size()) std::abort();
    if (tokenizer.TokenBytes(id).empty()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto document = ssmd::JsonDocument::Parse(text, "fuzz", kLimits);
  if (!document.ok()) return 0;
  auto parts = ssmd::ReadTokenizerJson(ssmd::JsonField::Root("fuzz", document->root()));
  if (!parts.ok()) return 0;
  const auto tokenizer = ssmd::MakeByteLevelBpe(*std::move(parts));
  if (!tokenizer.ok()) return 0;
  for (const bool parse_special : {false, true}) CheckEncode(**tokenizer, text, parse_special);
  return 0;
}
