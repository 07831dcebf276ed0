#include "engine/text/jinja/lexer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/text/jinja/strings.h"
#include "engine/text/utf8.h"

namespace ssmd::jinja {
namespace {

using TokenKind = Token::Kind;

// \r\n and \r are \n, and one at the very end does not count.
std::string NormalizeNewlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    text += source[i] == '\r' ? '\n' : source[i];
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

bool BeginsName(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return absl::ascii_isalpha(byte) || c == '_' || byte >= 0x80;
}
bool GoesOnName(char c) {
  return BeginsName(c) || absl::ascii_isdigit(static_cast<unsigned char>(c));
}

class TemplateLexer {
 public:
  explicit TemplateLexer(std::string source) : source_(std::move(source)) {}

  absl::StatusOr<std::vector<Token>> Run() {
    while (at_ < source_.size()) SSMD_RETURN_IF_ERROR(ReadDataAndTag());
    Add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  char Peek(size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  bool Sees(std::string_view text) const {
    return std::string_view(source_).substr(at_, text.size()) == text;
  }
  void Advance(size_t bytes) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(at_ + bytes),
                                         '\n'));
    at_ += bytes;
  }
  // The white space from `from` on.
  size_t SpaceEnd(size_t from) const {
    while (from < source_.size()) {
      const CodePoint c = DecodeUtf8(source_, from);
      if (!IsSpace(c.value)) break;
      from += c.bytes;
    }
    return from;
  }
  void Add(TokenKind kind, std::string text) { tokens_.push_back({kind, line_, std::move(text)}); }
  absl::Status Error(std::string_view problem) const { return ErrorInLine(line_, problem); }

  absl::Status ReadDataAndTag();
  size_t FindTag(size_t from) const;
  void AddData(size_t begin, size_t end, char sign, bool is_output);
  // Behind the end of a tag: what its sign takes of the white space that follows.
  void EndTag(size_t bytes, char sign, bool trims_newline);
  absl::Status ReadComment();
  bool AtRaw(size_t* bytes, bool* strips) const;
  absl::Status ReadRaw(size_t bytes, bool strips);
  absl::Status ReadTag(bool is_output);
  bool AtTagEnd(bool is_output, size_t* bytes, char* sign) const;
  absl::Status ReadToken();
  absl::Status ReadString();
  absl::Status ReadEscape(std::string* out);
  absl::Status ReadNumber();
  absl::Status ReadOperator();

  const std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starts_ = true;  // what was read last ended a line
  std::string open_;         // brackets that wait to be closed
  std::vector<Token> tokens_;
};

size_t TemplateLexer::FindTag(size_t from) const {
  for (size_t at = from; (at = source_.find('{', at)) != std::string::npos; ++at) {
    const char next = at + 1 < source_.size() ? source_[at + 1] : '\0';
    if (next == '{' || next == '%' || next == '#') return at;
  }
  return source_.size();
}

void TemplateLexer::AddData(size_t begin, size_t end, char sign, bool is_output) {
  const std::string_view text = std::string_view(source_).substr(begin, end - begin);
  size_t kept = text.size();
  if (sign == '-') {
    kept = Strip(Text(std::string(text)), Side::kRight, std::nullopt).size();
  } else if (sign != '+' && !is_output) {
    const size_t line = text.rfind('\n') + 1;  // 0 where there is none
    const bool blank = SpaceEnd(begin + line) >= end;
    if ((line > 0 || line_starts_) && blank) kept = line;
  }
  if (kept > 0) Add(TokenKind::kData, std::string(text.substr(0, kept)));
}

void TemplateLexer::EndTag(size_t bytes, char sign, bool trims_newline) {
  size_t end = at_ + bytes;
  if (sign == '-') {
    end = SpaceEnd(end);
  } else if (sign != '+' && trims_newline && end < source_.size() && source_[end] == '\n') {
    ++end;
  }
  line_starts_ = source_[end - 1] == '\n';
  Advance(end - at_);
}

absl::Status TemplateLexer::ReadDataAndTag() {
  const size_t begin = at_;
  const size_t tag = FindTag(at_);
  if (tag == source_.size()) {
    Add(TokenKind::kData, source_.substr(begin));
    Advance(tag - begin);
    return absl::OkStatus();
  }
  const char kind = source_[tag + 1];
  const char after = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
  const char sign = after == '-' || after == '+' ? after : '\0';
  AddData(begin, tag, sign, kind == '{');
  Advance(tag - begin);
  size_t raw_bytes = 0;
  bool raw_strips = false;
  if (kind == '%' && AtRaw(&raw_bytes, &raw_strips)) return ReadRaw(raw_bytes, raw_strips);
  if (kind != '#') Add(kind == '{' ? TokenKind::kOutputBegin : TokenKind::kTagBegin, "");
  Advance(sign == '\0' ? 2 : 3);
  return kind == '#' ? ReadComment() : ReadTag(kind == '{');
}

absl::Status TemplateLexer::ReadComment() {
  const size_t end = source_.find("#}", at_);
  if (end == std::string::npos) return Error("a comment does not end");
  const char before = end > at_ ? source_[end - 1] : '\0';
  Advance(end - at_);
  EndTag(2, before == '-' || before == '+' ? before : '\0', true);
  return absl::OkStatus();
}

// {% raw %} at the present place: how long it is, and whether it strips what follows.
bool TemplateLexer::AtRaw(size_t* bytes, bool* strips) const {
  size_t at = at_ + 2;
  if (at < source_.size() && (source_[at] == '-' || source_[at] == '+')) ++at;
  at = SpaceEnd(at);
  if (source_.compare(at, 3, "raw") != 0) return false;
  at = SpaceEnd(at + 3);
  *strips = source_.compare(at, 3, "-%}") == 0;
  if (!*strips && source_.compare(at, 2, "%}") != 0) return false;
  *bytes = at + (*strips ? 3 : 2) - at_;
  return true;
}

absl::Status TemplateLexer::ReadRaw(size_t bytes, bool strips) {
  const int line = line_;
  Advance(bytes);
  if (strips) Advance(SpaceEnd(at_) - at_);
  line_starts_ = false;
  for (size_t tag = at_; (tag = source_.find("{%", tag)) != std::string::npos; ++tag) {
    size_t at = tag + 2;
    const char sign = at < source_.size() ? source_[at] : '\0';
    if (sign == '-' || sign == '+') ++at;
    at = SpaceEnd(at);
    if (source_.compare(at, 6, "endraw") != 0) continue;
    at = SpaceEnd(at + 6);
    const char end_sign = at < source_.size() ? source_[at] : '\0';
    if (end_sign == '-' || end_sign == '+') ++at;
    if (source_.compare(at, 2, "%}") != 0) continue;
    AddData(at_, tag, sign, false);
    Advance(at - at_);
    EndTag(2, end_sign == '-' || end_sign == '+' ? end_sign : '\0', true);
    return absl::OkStatus();
  }
  return ErrorInLine(line, "raw does not end");
}

bool TemplateLexer::AtTagEnd(bool is_output, size_t* bytes, char* sign) const {
  const std::string_view end = is_output ? "}}" : "%}";
  const char first = Peek();
  const bool signed_end = (first == '-' || (first == '+' && !is_output)) &&
                          std::string_view(source_).substr(at_ + 1, 2) == end;
  if (!signed_end && !Sees(end)) return false;
  *sign = signed_end ? first : '\0';
  *bytes = signed_end ? 3 : 2;
  return true;
}

absl::Status TemplateLexer::ReadTag(bool is_output) {
  const int line = line_;
  for (;;) {
    Advance(SpaceEnd(at_) - at_);
    if (at_ >= source_.size()) return ErrorInLine(line, "a tag does not end");
    size_t bytes = 0;
    char sign = '\0';
    if (open_.empty() && AtTagEnd(is_output, &bytes, &sign)) {
      Add(is_output ? TokenKind::kOutputEnd : TokenKind::kTagEnd, "");
      EndTag(bytes, sign, !is_output);
      return absl::OkStatus();
    }
    SSMD_RETURN_IF_ERROR(ReadToken());
  }
}

absl::Status TemplateLexer::ReadToken() {
  const char c = Peek();
  if (absl::ascii_isdigit(static_cast<unsigned char>(c))) return ReadNumber();
  if (c == '"' || c == '\'') return ReadString();
  if (!BeginsName(c)) return ReadOperator();
  size_t end = at_;
  while (end < source_.size() && GoesOnName(source_[end])) ++end;
  Add(TokenKind::kName, source_.substr(at_, end - at_));
  Advance(end - at_);
  return absl::OkStatus();
}

absl::Status TemplateLexer::ReadNumber() {
  size_t end = at_;
  const auto digits = [&] {
    const size_t begin = end;
    while (end < source_.size() &&
           (absl::ascii_isdigit(static_cast<unsigned char>(source_[end])) || source_[end] == '_')) {
      ++end;
    }
    return end > begin;
  };
  digits();
  bool is_float = false;
  // In a.0.1 the numbers are elements.
  const bool element = !tokens_.empty() && tokens_.back().Is(TokenKind::kOperator, ".");
  const auto is_digit = [&](size_t at) {
    return at < source_.size() && absl::ascii_isdigit(static_cast<unsigned char>(source_[at]));
  };
  if (!element && end < source_.size() && source_[end] == '.' && is_digit(end + 1)) {
    is_float = true;
    ++end;
    digits();
  }
  if (!element && end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
    const bool sign =
        end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-');
    if (is_digit(end + (sign ? 2 : 1))) {
      is_float = true;
      end += sign ? 2 : 1;
      digits();
    }
  }
  if (end < source_.size() && GoesOnName(source_[end])) {
    return Error("a number is not written in decimal digits");
  }
  std::string text = source_.substr(at_, end - at_);
  std::erase(text, '_');
  Add(is_float ? TokenKind::kFloat : TokenKind::kInteger, std::move(text));
  Advance(end - at_);
  return absl::OkStatus();
}

absl::Status TemplateLexer::ReadString() {
  const char quote = Peek();
  const int line = line_;
  std::string text;
  Advance(1);
  while (at_ < source_.size() && Peek() != quote) {
    if (Peek() == '\\') {
      SSMD_RETURN_IF_ERROR(ReadEscape(&text));
    } else {
      text += Peek();
      Advance(1);
    }
  }
  if (at_ >= source_.size()) return ErrorInLine(line, "a string does not end");
  Advance(1);
  tokens_.push_back({TokenKind::kString, line, std::move(text)});
  return absl::OkStatus();
}

// What follows a backslash, as in Python.
absl::Status TemplateLexer::ReadEscape(std::string* out) {
  constexpr std::string_view kNames = "\\'\"abfnrtv";
  constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
  const char c = Peek(1);
  if (at_ + 1 >= source_.size()) return Error("a string does not end");
  if (const size_t known = kNames.find(c); known != std::string_view::npos) {
    out->push_back(kMeanings[known]);
    Advance(2);
    return absl::OkStatus();
  }
  if (c == '\n') {
    Advance(2);
    return absl::OkStatus();
  }
  const bool octal = c >= '0' && c <= '7';
  const size_t most = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : octal ? 3 : 0;
  if (most == 0) {  // Python leaves what it does not know
    out->push_back('\\');
    Advance(1);
    return absl::OkStatus();
  }
  const size_t begin = at_ + (octal ? 1 : 2);
  uint32_t value = 0;
  size_t count = 0;
  for (; count < most && begin + count < source_.size(); ++count) {
    const auto digit = static_cast<unsigned char>(source_[begin + count]);
    if (octal ? (digit < '0' || digit > '7') : !absl::ascii_isxdigit(digit)) break;
    const uint32_t number =
        absl::ascii_isdigit(digit) ? digit - '0' : (absl::ascii_tolower(digit) - 'a' + 10u);
    value = value * (octal ? 8 : 16) + number;
  }
  const bool scalar = value <= 0x10FFFF && !(value >= 0xD800 && value <= 0xDFFF);
  if ((!octal && count < most) || !scalar)
    return Error("a string has an escape that is no character");
  AppendUtf8(value, out);
  Advance(begin + count - at_);
  return absl::OkStatus();
}

absl::Status TemplateLexer::ReadOperator() {
  constexpr std::string_view kLong[] = {"**", "//", "==", "!=", ">=", "<="};
  constexpr std::string_view kShort = "+-*/%~[](){}<>=.:|,;";
  std::string text;
  for (const std::string_view known : kLong) {
    if (Sees(known)) text = known;
  }
  if (text.empty() && kShort.find(Peek()) != std::string_view::npos) text = Peek();
  if (text.empty()) {
    return Error(absl::StrCat("a tag has the character '",
                              source_.substr(at_, CharacterBytes(source_, at_)), "'"));
  }
  if (text == "(" || text == "[" || text == "{") {
    open_ += text == "(" ? ')' : text == "[" ? ']' : '}';
  } else if (text == ")" || text == "]" || text == "}") {
    if (open_.empty() || open_.back() != text[0]) {
      return Error(absl::StrCat("'", text, "' closes nothing"));
    }
    open_.pop_back();
  }
  Add(TokenKind::kOperator, text);
  Advance(text.size());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Token>> Tokenize(std::string_view source) {
  return TemplateLexer(NormalizeNewlines(source)).Run();
}

absl::Status ErrorInLine(int line, std::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", View(problem)));
}

}  // namespace ssmd::jinja
