#include "engine/text/jinja/strings.h"

#include <utf8proc.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/text/utf8.h"

namespace ssmd::jinja {
namespace {

bool BeginsCharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

bool IsUpper(char32_t c) { return utf8proc_isupper(static_cast<utf8proc_int32_t>(c)) != 0; }
bool IsLower(char32_t c) { return utf8proc_islower(static_cast<utf8proc_int32_t>(c)) != 0; }
bool IsTitle(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_LT;
}
bool IsCased(char32_t c) { return IsUpper(c) || IsLower(c) || IsTitle(c); }

void AppendUpper(char32_t c, std::string* out) {
  if (c == U'ß') {
    out->append("SS");
  } else {
    AppendUtf8(static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))), out);
  }
}
void AppendLower(char32_t c, std::string* out) {
  AppendUtf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
}
void AppendTitle(char32_t c, std::string* out) {
  if (c == U'ß') {
    out->append("Ss");
  } else {
    AppendUtf8(static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))), out);
  }
}

// Each character turned into others, which are of its origin.
template <typename Change>
Text Map(const Text& text, Change change) {
  Text mapped;
  std::string characters;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeUtf8(text.bytes(), at);
    characters.clear();
    change(c.value, &characters);
    mapped.Append(characters, text.OriginAt(at));
    at += c.bytes;
  }
  return mapped;
}

bool IsLineEnd(char32_t c) {
  return (c >= '\n' && c <= '\r') || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

absl::Status ChargeParts(const Text& text, Budget* budget) {
  // A part is at least a byte with its separator.
  return budget->Charge(text.cost() + Budget::kElement);
}

}  // namespace

size_t CountCharacters(std::string_view bytes) {
  return static_cast<size_t>(std::count_if(bytes.begin(), bytes.end(), BeginsCharacter));
}

size_t CharacterBytes(std::string_view bytes, size_t at) { return DecodeUtf8(bytes, at).bytes; }

std::vector<size_t> CharacterStarts(std::string_view bytes) {
  std::vector<size_t> starts;
  for (size_t at = 0; at < bytes.size(); ++at) {
    if (BeginsCharacter(bytes[at])) starts.push_back(at);
  }
  return starts;
}

size_t ByteOfCharacter(std::string_view bytes, size_t index) {
  size_t at = 0;
  for (; index > 0; --index) at += CharacterBytes(bytes, at);
  return at;
}

absl::StatusOr<std::vector<Value>> Characters(const Text& text, Budget* budget) {
  SSMD_RETURN_IF_ERROR(budget->Charge(text.cost()));
  const std::vector<size_t> starts = CharacterStarts(text.bytes());
  // Each is a string of its own.
  SSMD_RETURN_IF_ERROR(budget->ChargeElements(starts.size() * 2));
  std::vector<Value> characters;
  characters.reserve(starts.size());
  for (const size_t at : starts) {
    characters.push_back(Value::String(text.Slice(at, at + CharacterBytes(text.bytes(), at))));
  }
  return characters;
}

size_t FindBytes(std::string_view bytes, std::string_view needle, size_t from) {
  if (from > bytes.size()) return std::string_view::npos;
  if (needle.size() < 2) return bytes.find(needle, from);
  const auto found = std::search(bytes.begin() + static_cast<std::ptrdiff_t>(from), bytes.end(),
                                 std::boyer_moore_searcher(needle.begin(), needle.end()));
  return found == bytes.end() ? std::string_view::npos : static_cast<size_t>(found - bytes.begin());
}

size_t FindLastBytes(std::string_view bytes, std::string_view needle) {
  if (needle.size() < 2) return bytes.rfind(needle);
  const std::string backwards(bytes.rbegin(), bytes.rend());
  const size_t found = FindBytes(backwards, std::string(needle.rbegin(), needle.rend()), 0);
  return found == std::string_view::npos ? found : bytes.size() - found - needle.size();
}

bool IsSpace(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1C && c <= 0x1F);
  if (c == 0x85) return true;
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

Text Strip(const Text& text, Side side, const std::optional<std::string>& chars) {
  const auto goes = [&](char32_t c) {
    if (!chars.has_value()) return IsSpace(c);
    for (size_t at = 0; at < chars->size(); at += CharacterBytes(*chars, at)) {
      if (DecodeUtf8(*chars, at).value == c) return true;
    }
    return false;
  };
  const std::string& bytes = text.bytes();
  size_t begin = 0;
  size_t end = bytes.size();
  while (side != Side::kRight && begin < end) {
    const CodePoint c = DecodeUtf8(bytes, begin);
    if (!goes(c.value)) break;
    begin += c.bytes;
  }
  while (side != Side::kLeft && end > begin) {
    const CodePoint c = DecodeUtf8Before(bytes, end);
    if (!goes(c.value)) break;
    end -= c.bytes;
  }
  return text.Slice(begin, end);
}

Text ChangeCase(const Text& text, Letters letters) {
  return Map(text, letters == Letters::kUpper ? AppendUpper : AppendLower);
}

Text Capitalize(const Text& text) {
  bool first = true;
  return Map(text, [&](char32_t c, std::string* out) {
    (first ? AppendTitle : AppendLower)(c, out);
    first = false;
  });
}

Text Title(const Text& text, bool by_spaces) {
  bool inside = false;
  return Map(text, [&](char32_t c, std::string* out) {
    if (by_spaces) {
      (inside ? AppendLower : AppendUpper)(c, out);
      inside = !(IsSpace(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<');
    } else {
      (inside ? AppendLower : AppendTitle)(c, out);
      inside = IsCased(c);
    }
  });
}

bool IsAllOfCase(std::string_view bytes, Letters letters) {
  bool found = false;
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint c = DecodeUtf8(bytes, at);
    if (IsTitle(c.value) || (letters == Letters::kUpper ? IsLower : IsUpper)(c.value)) return false;
    found |= (letters == Letters::kUpper ? IsUpper : IsLower)(c.value);
    at += c.bytes;
  }
  return found;
}

bool IsEach(std::string_view bytes, bool (*is)(char32_t)) {
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint c = DecodeUtf8(bytes, at);
    if (!is(c.value)) return false;
    at += c.bytes;
  }
  return !bytes.empty();
}

bool IsAlpha(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool IsDigit(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_ND;
}

bool IsAlnum(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return IsAlpha(c) || (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

absl::StatusOr<std::vector<Text>> Split(const Text& text, const std::string& separator,
                                        int64_t most, bool from_right, Budget* budget) {
  SSMD_RETURN_IF_ERROR(ChargeParts(text, budget));
  const std::string& bytes = text.bytes();
  std::vector<size_t> cuts;
  const std::boyer_moore_searcher searcher(separator.begin(), separator.end());
  if (from_right) {
    // Cuts from the right are others than from the left where separators overlap.
    const std::string backwards(bytes.rbegin(), bytes.rend());
    const std::string needle(separator.rbegin(), separator.rend());
    const std::boyer_moore_searcher reverse(needle.begin(), needle.end());
    for (auto at = backwards.begin(); most < 0 || static_cast<int64_t>(cuts.size()) < most;) {
      at = std::search(at, backwards.end(), reverse);
      if (at == backwards.end()) break;
      at += static_cast<std::ptrdiff_t>(needle.size());
      cuts.push_back(bytes.size() - static_cast<size_t>(at - backwards.begin()));
    }
    std::reverse(cuts.begin(), cuts.end());
  } else {
    for (auto at = bytes.begin(); most < 0 || static_cast<int64_t>(cuts.size()) < most;) {
      at = std::search(at, bytes.end(), searcher);
      if (at == bytes.end()) break;
      cuts.push_back(static_cast<size_t>(at - bytes.begin()));
      at += static_cast<std::ptrdiff_t>(separator.size());
    }
  }
  SSMD_RETURN_IF_ERROR(budget->ChargeElements((cuts.size() + 1) * 2));
  std::vector<Text> parts;
  size_t begin = 0;
  for (const size_t cut : cuts) {
    parts.push_back(text.Slice(begin, cut));
    begin = cut + separator.size();
  }
  parts.push_back(text.Slice(begin, bytes.size()));
  return parts;
}

absl::StatusOr<std::vector<Text>> SplitSpace(const Text& text, int64_t most, bool from_right,
                                             Budget* budget) {
  SSMD_RETURN_IF_ERROR(ChargeParts(text, budget));
  std::vector<Text> parts;
  Text rest = Strip(text, from_right ? Side::kRight : Side::kLeft, std::nullopt);
  // The words' places first, then cut: a long text is not copied again and again.
  std::vector<std::pair<size_t, size_t>> words;
  const std::string& bytes = rest.bytes();
  size_t begin = 0;
  for (size_t at = 0; at <= bytes.size();) {
    const bool end = at == bytes.size() || IsSpace(DecodeUtf8(bytes, at).value);
    const size_t width = at == bytes.size() ? 1 : CharacterBytes(bytes, at);
    if (end && begin < at) words.emplace_back(begin, at);
    at += width;
    if (end) begin = at;
  }
  SSMD_RETURN_IF_ERROR(budget->ChargeElements((words.size() + 1) * 2));
  const size_t count = words.size();
  const size_t whole = most < 0 ? count : std::min(count, static_cast<size_t>(most));
  if (from_right) {
    if (whole < count) {
      parts.push_back(Strip(rest.Slice(0, words[count - whole - 1].second), Side::kRight, {}));
    }
    for (size_t i = count - whole; i < count; ++i) {
      parts.push_back(rest.Slice(words[i].first, words[i].second));
    }
  } else {
    for (size_t i = 0; i < whole; ++i) {
      parts.push_back(rest.Slice(words[i].first, words[i].second));
    }
    if (whole < count) parts.push_back(rest.Slice(words[whole].first, bytes.size()));
  }
  return parts;
}

absl::StatusOr<std::vector<Text>> SplitLines(const Text& text, bool keep_ends, Budget* budget) {
  SSMD_RETURN_IF_ERROR(ChargeParts(text, budget));
  const std::string& bytes = text.bytes();
  std::vector<Text> lines;
  size_t begin = 0;
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint c = DecodeUtf8(bytes, at);
    size_t next = at + c.bytes;
    if (!IsLineEnd(c.value)) {
      at = next;
      continue;
    }
    if (c.value == '\r' && next < bytes.size() && bytes[next] == '\n') ++next;
    SSMD_RETURN_IF_ERROR(budget->ChargeElements(2));
    lines.push_back(text.Slice(begin, keep_ends ? next : at));
    begin = at = next;
  }
  if (begin < bytes.size()) lines.push_back(text.Slice(begin, bytes.size()));
  return lines;
}

absl::StatusOr<Text> Replace(const Text& text, const std::string& from, const Text& to,
                             int64_t most, Budget* budget) {
  SSMD_RETURN_IF_ERROR(budget->Charge(text.cost() + from.size()));
  Text replaced;
  int64_t count = 0;
  size_t done = 0;
  const std::string& bytes = text.bytes();
  if (from.empty()) {  // Python puts `to` before each character and at the end
    for (size_t at = 0; at <= bytes.size() && (most < 0 || count < most); ++count) {
      SSMD_RETURN_IF_ERROR(budget->Charge(to.cost() + Budget::kStep));
      replaced.Append(to);
      done = at == bytes.size() ? at : at + CharacterBytes(bytes, at);
      replaced.Append(text, at, done);
      at = at == bytes.size() ? at + 1 : done;
    }
  } else {
    const std::boyer_moore_searcher searcher(from.begin(), from.end());
    for (auto at = bytes.begin(); most < 0 || count < most; ++count) {
      at = std::search(at, bytes.end(), searcher);
      if (at == bytes.end()) break;
      const auto begin = static_cast<size_t>(at - bytes.begin());
      SSMD_RETURN_IF_ERROR(budget->Charge(to.cost() + Budget::kStep));
      replaced.Append(text, done, begin);
      replaced.Append(to);
      done = begin + from.size();
      at += static_cast<std::ptrdiff_t>(from.size());
    }
  }
  replaced.Append(text, done, bytes.size());
  return replaced;
}

absl::StatusOr<Text> EscapeHtml(const Text& text, Budget* budget) {
  SSMD_RETURN_IF_ERROR(budget->Charge(text.cost() * 6));
  return Map(text, [](char32_t c, std::string* out) {
    switch (c) {
      case '&':
        out->append("&amp;");
        break;
      case '<':
        out->append("&lt;");
        break;
      case '>':
        out->append("&gt;");
        break;
      case '\'':
        out->append("&#39;");
        break;
      case '"':
        out->append("&#34;");
        break;
      default:
        AppendUtf8(c, out);
    }
  });
}

}  // namespace ssmd::jinja
