// Any bytes as text: refused where they are not UTF-8, else encoded so that the tokens' bytes are
// the text again, and so that decoding them piece by piece is decoding the whole.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/byte_alphabet.h"
#include "engine/text/byte_level_bpe.h"
#include "engine/text/detokenizer.h"
#include "engine/text/nfc.h"
#include "engine/text/utf8.h"

namespace {

// Every byte, some merges, and added tokens that overlap each other and the merges.
ssmd::ByteLevelBpeParts Parts() {
  ssmd::ByteLevelBpeParts parts;
  const auto add = [&](std::string text) {
    const auto id = static_cast<int32_t>(parts.vocabulary.size());
    parts.vocabulary.push_back({id, std::move(text)});
    return id;
  };
  for (int byte = 0; byte < 256; ++byte) {
    std::string text;
    ssmd::AppendUtf8(ssmd::ByteToAlphabet(static_cast<unsigned char>(byte)), &text);
    add(text);
  }
  constexpr std::array<std::array<int, 2>, 7> kMerges = {
      {{'a', 'b'}, {'b', 'a'}, {'a', 'a'}, {' ', 'a'}, {' ', ' '}, {0xC3, 0xA9}, {'\n', '\n'}}};
  for (const auto& [left, right] : kMerges) {
    const auto l = static_cast<size_t>(left);
    const auto r = static_cast<size_t>(right);
    const int32_t id = add(parts.vocabulary[l].text + parts.vocabulary[r].text);
    parts.merges.push_back({left, right, id});
  }
  auto next = static_cast<int32_t>(parts.vocabulary.size());
  for (const char* content : {"<|end|>", "   ", "    ", "end", "\xC3\xA9\xC3\xA9"}) {
    ssmd::AddedToken token;
    token.id = next++;
    token.content = content;
    token.special = content[0] == '<';
    token.normalized = !token.special;
    token.single_word = content[0] == 'e';
    parts.added.push_back(token);
  }
  parts.pre_tokenizer.push_back(ssmd::MakeByteLevelStage(false, true));
  return parts;
}

std::unique_ptr<ssmd::Tokenizer> MakeTokenizer(bool nfc) {
  ssmd::ByteLevelBpeParts parts = Parts();
  parts.nfc = nfc;
  auto tokenizer = ssmd::MakeByteLevelBpe(std::move(parts));
  if (!tokenizer.ok()) std::abort();
  return *std::move(tokenizer);
}

void CheckDetokenizer(std::string_view bytes) {
  ssmd::Detokenizer whole;
  std::string expected = whole.Push(bytes);
  expected += whole.Flush();
  ssmd::Detokenizer stepwise;
  std::string text;
  for (const char byte : bytes) text += stepwise.Push({&byte, 1});
  text += stepwise.Flush();
  if (text != expected || ssmd::FindInvalidUtf8(text).has_value()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto* const kPlain = MakeTokenizer(/*nfc=*/false).release();
  static const auto* const kNfc = MakeTokenizer(/*nfc=*/true).release();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  CheckDetokenizer(text);
  const bool is_utf8 = !ssmd::FindInvalidUtf8(text).has_value();
  if (is_utf8) {
    const std::string normalized = ssmd::NormalizeNfc(text);
    if (ssmd::NormalizeNfc(normalized) != normalized) std::abort();
  }
  for (const bool parse_special : {false, true}) {
    if (kNfc->Encode(text, {.parse_special = parse_special}).ok() != is_utf8) std::abort();
    const auto ids = kPlain->Encode(text, {.parse_special = parse_special});
    if (ids.ok() != is_utf8) std::abort();
    if (!ids.ok()) continue;
    std::string bytes;
    for (const int32_t id : *ids) bytes += kPlain->TokenBytes(id);
    if (bytes != text) std::abort();
  }
  return 0;
}
