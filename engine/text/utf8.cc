#include "engine/text/utf8.h"

namespace ssmd {
namespace {

// What may follow a lead byte: `tail` bytes, the first of them in [low, high].
struct LeadRule {
  size_t tail = 0;  // 0: no lead of a longer sequence
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
};

LeadRule RuleOf(unsigned char lead) {
  if (lead < 0xC2 || lead > 0xF4) return {};
  if (lead < 0xE0) return {1};
  if (lead == 0xE0) return {2, 0xA0, 0xBF};
  if (lead == 0xED) return {2, 0x80, 0x9F};
  if (lead < 0xF0) return {2};
  if (lead == 0xF0) return {3, 0x90, 0xBF};
  if (lead == 0xF4) return {3, 0x80, 0x8F};
  return {3};
}

}  // namespace

Utf8Step NextUtf8(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {Utf8Kind::kCharacter, 1};
  const LeadRule rule = RuleOf(lead);
  if (rule.tail == 0) return {Utf8Kind::kIllFormed, 1};
  for (size_t i = 1; i <= rule.tail; ++i) {
    if (i == text.size()) return {Utf8Kind::kIncomplete, i};
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool fits = i == 1 ? byte >= rule.low && byte <= rule.high : byte >= 0x80 && byte <= 0xBF;
    if (!fits) return {Utf8Kind::kIllFormed, i};
  }
  return {Utf8Kind::kCharacter, rule.tail + 1};
}

std::optional<size_t> FindInvalidUtf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const Utf8Step step = NextUtf8(text.substr(at));
    if (step.kind != Utf8Kind::kCharacter) return at;
    at += step.bytes;
  }
  return std::nullopt;
}

CodePoint DecodeUtf8Before(std::string_view text, size_t offset) {
  do {
    --offset;
  } while ((static_cast<unsigned char>(text[offset]) & 0xC0) == 0x80);
  return DecodeUtf8(text, offset);
}

void AppendUtf8(char32_t code_point, std::string* text) {
  const auto tail = [&](int shift) {
    text->push_back(static_cast<char>(0x80 | (code_point >> shift & 0x3F)));
  };
  if (code_point < 0x80) {
    text->push_back(static_cast<char>(code_point));
  } else if (code_point < 0x800) {
    text->push_back(static_cast<char>(0xC0 | code_point >> 6));
    tail(0);
  } else if (code_point < 0x10000) {
    text->push_back(static_cast<char>(0xE0 | code_point >> 12));
    tail(6);
    tail(0);
  } else {
    text->push_back(static_cast<char>(0xF0 | code_point >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace ssmd
