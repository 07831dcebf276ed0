#include "clients/ssmctl/text.h"

#include <charconv>
#include <cstdio>

namespace ssmd::ctl {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

struct Decoded {
  char32_t character = 0;
  size_t bytes = 1;  // consumed; of an ill-formed sequence, its maximal subpart
  bool valid = false;
};

bool InRange(char c, unsigned low, unsigned high) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= low && byte <= high;
}

// One character at the start of `text`, which is not empty (Unicode 15, table 3-7).
Decoded Decode(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1, true};
  if (lead < 0xC2 || lead > 0xF4) return {};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and what is past U+10FFFF.
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  char32_t character = lead & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    const bool fits =
        i < text.size() && InRange(text[i], i == 1 ? low : 0x80, i == 1 ? high : 0xBF);
    if (!fits) return {0, i, false};
    character = (character << 6) | (static_cast<unsigned char>(text[i]) & 0x3Fu);
  }
  return {character, length, true};
}

void Append(char32_t character, std::string* out) {
  if (character < 0x80) {
    *out += static_cast<char>(character);
  } else if (character < 0x800) {
    *out += static_cast<char>(0xC0 | (character >> 6));
    *out += static_cast<char>(0x80 | (character & 0x3F));
  } else {
    *out += static_cast<char>(0xE0 | (character >> 12));
    *out += static_cast<char>(0x80 | ((character >> 6) & 0x3F));
    *out += static_cast<char>(0x80 | (character & 0x3F));
  }
}

bool IsC1OrDelete(char32_t c) { return c >= 0x7F && c <= 0x9F; }
bool IsBidiControl(char32_t c) {
  return (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

// What a terminal shows in place of `c`; `c` itself where it is harmless.
char32_t Visible(char32_t c) {
  if (c == '\n' || c == '\t') return c;
  if (c < 0x20) return 0x2400 + c;  // the control pictures
  if (c == 0x7F) return 0x2421;
  return IsC1OrDelete(c) || IsBidiControl(c) ? kReplacement : c;
}

}  // namespace

std::optional<size_t> FirstInvalidUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Decoded decoded = Decode(text.substr(at));
    if (!decoded.valid) return at;
    at += decoded.bytes;
  }
  return std::nullopt;
}

std::string LossyUtf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (size_t at = 0; at < bytes.size();) {
    const Decoded decoded = Decode(bytes.substr(at));
    if (decoded.valid) {
      out += bytes.substr(at, decoded.bytes);
    } else {
      Append(kReplacement, &out);
    }
    at += decoded.bytes;
  }
  return out;
}

std::string ForTerminal(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Decoded decoded = Decode(text.substr(at));
    const char32_t visible = decoded.valid ? Visible(decoded.character) : kReplacement;
    if (decoded.valid && visible == decoded.character) {
      out += text.substr(at, decoded.bytes);
    } else {
      Append(visible, &out);
    }
    at += decoded.bytes;
  }
  return out;
}

std::string JsonForTerminal(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  for (size_t at = 0; at < json.size();) {
    const Decoded decoded = Decode(json.substr(at));
    if (IsC1OrDelete(decoded.character) || IsBidiControl(decoded.character)) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned>(decoded.character));
      out += escape;
    } else {
      out += json.substr(at, decoded.bytes);
    }
    at += decoded.bytes;
  }
  return out;
}

std::optional<std::vector<int32_t>> ParseTokenIds(std::string_view text) {
  std::vector<int32_t> ids;
  while (true) {
    const size_t comma = text.find(',');
    std::string_view entry = text.substr(0, comma);
    while (!entry.empty() && entry.front() == ' ') entry.remove_prefix(1);
    while (!entry.empty() && entry.back() == ' ') entry.remove_suffix(1);
    int32_t id = 0;
    const auto [end, error] = std::from_chars(entry.data(), entry.data() + entry.size(), id);
    if (error != std::errc() || end != entry.data() + entry.size() || id < 0) return std::nullopt;
    ids.push_back(id);
    if (comma == std::string_view::npos) return ids;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace ssmd::ctl
