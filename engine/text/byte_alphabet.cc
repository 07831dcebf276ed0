#include "engine/text/byte_alphabet.h"

#include <array>

#include "engine/text/utf8.h"

namespace ssmd {
namespace {

constexpr bool StandsForItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// The other bytes take the characters from U+0100 on, in order.
constexpr std::array<char16_t, 256> MakeAlphabet() {
  std::array<char16_t, 256> alphabet{};
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    alphabet[static_cast<size_t>(byte)] =
        static_cast<char16_t>(StandsForItself(byte) ? byte : next++);
  }
  return alphabet;
}

constexpr std::array<char16_t, 256> kAlphabet = MakeAlphabet();
constexpr size_t kEnd = 0x144;

constexpr std::array<int16_t, kEnd> MakeBytes() {
  std::array<int16_t, kEnd> bytes{};
  for (auto& byte : bytes) byte = -1;
  for (size_t byte = 0; byte < kAlphabet.size(); ++byte) {
    bytes[kAlphabet[byte]] = static_cast<int16_t>(byte);
  }
  return bytes;
}

constexpr std::array<int16_t, kEnd> kBytes = MakeBytes();

}  // namespace

char32_t ByteToAlphabet(unsigned char byte) { return kAlphabet[byte]; }

std::optional<unsigned char> AlphabetToByte(char32_t character) {
  if (character >= kEnd || kBytes[character] < 0) return std::nullopt;
  return static_cast<unsigned char>(kBytes[character]);
}

std::optional<std::string> BytesWrittenBy(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint next = DecodeUtf8(text, at);
    const auto byte = AlphabetToByte(next.value);
    if (!byte.has_value()) return std::nullopt;
    bytes.push_back(static_cast<char>(*byte));
    at += next.bytes;
  }
  return bytes;
}

}  // namespace ssmd
