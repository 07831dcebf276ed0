#include "engine/text/oniguruma_syntax.h"

#include <array>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/base/text_view.h"
#include "engine/text/unicode.h"

namespace ssmd {
namespace {

class Translator {
 public:
  explicit Translator(std::string_view expression) : rest_(expression) {}

  absl::StatusOr<std::string> Run() {
    while (!rest_.empty()) SSMD_RETURN_IF_ERROR(TakeItem());
    return std::move(result_);
  }

 private:
  static absl::Status Unsupported(std::string_view construct) {
    return absl::InvalidArgumentError(
        absl::StrCat("the construct \"", View(construct), "\" is not supported"));
  }
  // Of the construct at hand, as much as an error message needs.
  std::string_view Excerpt(size_t bytes) const { return rest_.substr(0, bytes); }

  void Copy(size_t bytes) {
    result_.append(rest_.substr(0, bytes));
    rest_.remove_prefix(bytes);
  }
  void Replace(size_t bytes, std::string_view text) {
    result_.append(text);
    rest_.remove_prefix(bytes);
  }

  absl::Status TakeItem() {
    switch (rest_[0]) {
      case '\\':
        return TakeEscape(/*in_class=*/false);
      case '[':
        return TakeClass();
      case '(':
        return TakeGroup();
      case '{':
        return TakeInterval();
      case '*':
      case '+':
      case '?':
        return TakeQuantifier();
      case '|':
      case ')':
        Copy(1);
        return absl::OkStatus();
      case '.':
        Replace(1, "[^\\n]");
        return absl::OkStatus();
      case '^':
      case '$':
      case ']':
      case '}':
        return Unsupported(Excerpt(1));
      default:
        Copy(1);
        return absl::OkStatus();
    }
  }

  // A plain group or one of the openings that mean the same in both syntaxes.
  absl::Status TakeGroup() {
    if (!absl::StartsWith(View(rest_), "(?")) {
      Copy(1);
      return absl::OkStatus();
    }
    constexpr std::array<std::string_view, 7> kOpenings = {"(?:",  "(?=",  "(?!", "(?>",
                                                           "(?<=", "(?<!", "(?i:"};
    for (const std::string_view opening : kOpenings) {
      if (absl::StartsWith(View(rest_), View(opening))) {
        Copy(opening.size());
        return absl::OkStatus();
      }
    }
    return Unsupported(Excerpt(4));
  }

  // * + ? with ? (lazy) or + (possessive) behind.
  absl::Status TakeQuantifier() {
    Copy(1);
    if (!rest_.empty() && (rest_[0] == '?' || rest_[0] == '+')) Copy(1);
    return absl::OkStatus();
  }

  // {n} {n,} {n,m}; what a ? or + behind them means differs.
  absl::Status TakeInterval() {
    const size_t close = rest_.find('}');
    if (close == std::string_view::npos) return Unsupported(Excerpt(8));
    const std::string_view inside = rest_.substr(1, close - 1);
    if (inside.empty() || !absl::ascii_isdigit(static_cast<unsigned char>(inside[0])) ||
        inside.find_first_not_of("0123456789,") != std::string_view::npos ||
        inside.find(',') != inside.rfind(',')) {
      return Unsupported(Excerpt(close + 1));
    }
    const bool suffixed =
        close + 1 < rest_.size() && (rest_[close + 1] == '?' || rest_[close + 1] == '+');
    if (suffixed) return Unsupported(Excerpt(close + 2));
    Copy(close + 1);
    return absl::OkStatus();
  }

  absl::Status TakeEscape(bool in_class) {
    if (rest_.size() < 2) return Unsupported(rest_);
    switch (const char letter = rest_[1]) {
      case 'r':
      case 'n':
      case 't':
      case 'f':
      case 'a':
      case 'e':
        Copy(2);
        return absl::OkStatus();
      case 'v':  // any vertical space in PCRE2, one character here
        Replace(2, "\\x{b}");
        return absl::OkStatus();
      case 's':
        Replace(2, "\\p{White_Space}");
        return absl::OkStatus();
      case 'S':
        Replace(2, "\\P{White_Space}");
        return absl::OkStatus();
      case 'd':
        return TakeCategory(2, "Nd", /*negated=*/false, in_class);
      case 'D':
        return TakeCategory(2, "Nd", /*negated=*/true, in_class);
      case 'p':
      case 'P':
        return TakeProperty(in_class);
      case 'x':
      case 'u':
        return TakeCodePoint();
      default:
        if (!absl::ascii_ispunct(static_cast<unsigned char>(letter))) {
          return Unsupported(Excerpt(2));
        }
        Copy(2);
        return absl::OkStatus();
    }
  }

  // \p{..} \P{..} \p{^..}
  absl::Status TakeProperty(bool in_class) {
    const size_t close = rest_.find('}');
    if (rest_.size() < 4 || rest_[2] != '{' || close == std::string_view::npos) {
      return Unsupported(Excerpt(4));
    }
    std::string_view name = rest_.substr(3, close - 3);
    bool negated = rest_[1] == 'P';
    if (!name.empty() && name[0] == '^') {
      negated = !negated;
      name.remove_prefix(1);
    }
    return TakeCategory(close + 1, name, negated, in_class);
  }

  // Writes the category with what newer versions of Unicode added to it.
  absl::Status TakeCategory(size_t bytes, std::string_view category, bool negated, bool in_class) {
    const auto additions = CategoryAdditionsTo(category);
    if (!additions.has_value()) return Unsupported(Excerpt(bytes));
    const std::string name = absl::StrCat(negated ? "\\P{" : "\\p{", View(category), "}");
    if (additions->empty()) {
      Replace(bytes, name);
    } else if (in_class) {
      if (negated) return Unsupported(absl::StrCat("[", std::string(Excerpt(bytes)), "]"));
      Replace(bytes, absl::StrCat(name, View(*additions)));
    } else {
      Replace(bytes, absl::StrCat(negated ? "[^" : "[", "\\p{", View(category), "}",
                                  View(*additions), "]"));
    }
    return absl::OkStatus();
  }

  // \x{H…}, \uHHHH, and \xHH for ASCII (beyond it, it means a byte, not a character).
  absl::Status TakeCodePoint() {
    std::string_view digits;
    size_t bytes = 0;
    if (rest_[1] == 'u') {
      digits = rest_.substr(2, 4);
      bytes = 6;
      if (digits.size() != 4) return Unsupported(rest_);
    } else if (rest_.size() > 2 && rest_[2] == '{') {
      const size_t close = rest_.find('}');
      if (close == std::string_view::npos) return Unsupported(Excerpt(4));
      digits = rest_.substr(3, close - 3);
      bytes = close + 1;
    } else {
      digits = rest_.substr(2, 2);
      bytes = 4;
      if (digits.size() != 2 || digits[0] > '7') return Unsupported(Excerpt(4));
    }
    uint32_t value = 0;
    const bool read = digits.size() <= 8 && absl::SimpleHexAtoi(View(digits), &value) &&
                      absl::ascii_isxdigit(static_cast<unsigned char>(digits[0]));
    const bool surrogate = value >= 0xD800 && value < 0xE000;
    if (!read || surrogate || value > 0x10FFFF) return Unsupported(Excerpt(bytes));
    Replace(bytes, absl::StrFormat("\\x{%x}", value));
    return absl::OkStatus();
  }

  absl::Status TakeClass() {
    Copy(1);
    if (!rest_.empty() && rest_[0] == '^') Copy(1);
    if (!rest_.empty() && rest_[0] == ']') return Unsupported("[]");
    bool after_set = false;  // the last item was a set such as \s, which begins no range
    while (!rest_.empty()) {
      if (rest_[0] == ']') {
        Copy(1);
        return absl::OkStatus();
      }
      if (rest_[0] == '[') return Unsupported(Excerpt(2));  // a nested or named class
      if (absl::StartsWith(View(rest_), "&&")) return Unsupported("&&");
      if (rest_[0] == '\\') {
        const char letter = rest_.size() > 1 ? rest_[1] : '\\';
        SSMD_RETURN_IF_ERROR(TakeEscape(/*in_class=*/true));
        after_set = std::string_view("sSdDpP").find(letter) != std::string_view::npos;
      } else if (rest_[0] == '-' && after_set) {
        Replace(1, "\\-");
        after_set = false;
      } else {
        Copy(1);
        after_set = false;
      }
    }
    return absl::InvalidArgumentError("a character class is not closed");
  }

  std::string_view rest_;
  std::string result_;
};

}  // namespace

absl::StatusOr<std::string> TranslateOniguruma(std::string_view expression) {
  return Translator(expression).Run();
}

}  // namespace ssmd
