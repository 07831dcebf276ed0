// RWKV's World vocabulary: a line a token, its bytes as Python writes them.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/text_view.h"
#include "engine/text/longest_match.h"
#include "engine/text/utf8.h"

namespace ssmd {
namespace {

constexpr int32_t kEndOfText = 0;
constexpr char kEndOfTextName[] = "<|endoftext|>";

// Reads a literal of str or bytes: b'…', '…' or "…".
class PythonLiteral {
 public:
  explicit PythonLiteral(std::string_view text) : rest_(text) {}

  // What it stands for, in UTF-8 where it is a str; absent where it is none.
  std::optional<std::string> Read() {
    is_bytes_ = Take('b');
    if (rest_.size() < 2 || (rest_.front() != '\'' && rest_.front() != '"') ||
        rest_.back() != rest_.front()) {
      return std::nullopt;
    }
    const char quote = rest_.front();
    rest_ = rest_.substr(1, rest_.size() - 2);
    while (!rest_.empty()) {
      if (rest_.front() == quote) return std::nullopt;
      if (!(Take('\\') ? ReadEscape() : ReadPlain())) return std::nullopt;
    }
    return std::move(out_);
  }

 private:
  bool Take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool ReadPlain() {
    if (is_bytes_ && static_cast<unsigned char>(rest_.front()) >= 0x80) return false;
    out_.push_back(rest_.front());
    rest_.remove_prefix(1);
    return true;
  }

  bool ReadEscape() {
    if (rest_.empty()) return false;
    const char kind = rest_.front();
    rest_.remove_prefix(1);
    constexpr std::string_view kNames = "ntr\\'\"";
    constexpr std::string_view kValues = "\n\t\r\\'\"";
    if (const size_t at = kNames.find(kind); at != kNames.npos) {
      out_.push_back(kValues[at]);
      return true;
    }
    if (kind == 'x') return ReadHex(2);
    if (is_bytes_) return false;
    return kind == 'u' ? ReadHex(4) : kind == 'U' && ReadHex(8);
  }

  bool ReadHex(size_t digits) {
    uint32_t value = 0;
    if (rest_.size() < digits || !absl::SimpleHexAtoi(View(rest_.substr(0, digits)), &value)) {
      return false;
    }
    rest_.remove_prefix(digits);
    if (is_bytes_) {
      out_.push_back(static_cast<char>(value));
      return true;
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return false;
    AppendUtf8(value, &out_);
    return true;
  }

  std::string_view rest_;
  bool is_bytes_ = false;
  std::string out_;
};

// "<id> <literal> <bytes>"; absent where the line is no such.
std::optional<LongestMatchParts::Token> ReadLine(std::string_view line) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == line.npos || last <= first + 1) return std::nullopt;
  LongestMatchParts::Token token;
  uint32_t bytes = 0;
  if (!absl::SimpleAtoi(View(line.substr(0, first)), &token.id) ||
      !absl::SimpleAtoi(View(line.substr(last + 1)), &bytes)) {
    return std::nullopt;
  }
  auto literal = PythonLiteral(line.substr(first + 1, last - first - 1)).Read();
  if (!literal || literal->size() != bytes) return std::nullopt;
  token.bytes = *std::move(literal);
  return token;
}

}  // namespace

absl::StatusOr<LongestMatchParts> ReadRwkvVocabulary(std::string_view lines,
                                                     std::string_view source) {
  LongestMatchParts parts;
  parts.special = LongestMatchParts::Token{kEndOfText, kEndOfTextName};
  for (int64_t number = 1; !lines.empty(); ++number) {
    std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    auto token = ReadLine(line);
    if (!token) {
      return absl::InvalidArgumentError(absl::StrCat(
          View(source), ": line ", number,
          " is not a token's id, its text as Python writes it, and its number of bytes"));
    }
    parts.vocabulary.push_back(*std::move(token));
  }
  return parts;
}

}  // namespace ssmd
