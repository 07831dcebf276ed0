#include "engine/text/split_pattern.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/text/gpt2_pattern.h"
#include "engine/text/oniguruma_syntax.h"
#include "engine/text/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace ssmd {
namespace {

constexpr size_t kMaxExpressionBytes = 16 << 10;
constexpr uint32_t kHeapLimitKib = 64 << 10;
// Most matches need a few dozen units; one that needs more is tried again with four times as many.
constexpr uint64_t kFirstMatchLimit = 256;
constexpr uint64_t kHighestLimit = uint64_t{1} << 31;

template <auto kFree>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Code = std::unique_ptr<pcre2_code, Deleter<pcre2_code_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Deleter<pcre2_compile_context_free>>;

std::string Pcre2Message(int code) {
  PCRE2_UCHAR buffer[160] = {};
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

class Gpt2SplitPattern final : public SplitPattern {
 public:
  absl::Status Find(std::string_view text, MatchBudget*,
                    std::vector<Stretch>* stretches) const override {
    for (size_t at = 0; at < text.size();) {
      at = Gpt2MatchEnd(text, at);
      stretches->push_back({at, true});
    }
    return absl::OkStatus();
  }
};

class LiteralPattern final : public SplitPattern {
 public:
  explicit LiteralPattern(std::string_view literal) : literal_(literal) {}

  absl::Status Find(std::string_view text, MatchBudget*,
                    std::vector<Stretch>* stretches) const override {
    size_t at = 0;
    while (at < text.size()) {
      const size_t found = std::min(text.find(literal_, at), text.size());
      if (found > at) stretches->push_back({found, false});
      if (found == text.size()) break;
      at = found + literal_.size();
      stretches->push_back({at, true});
    }
    return absl::OkStatus();
  }

 private:
  std::string literal_;
};

struct Match {
  size_t begin = 0;
  size_t end = 0;
};

// One text's search; holds PCRE2's working memory.
class Search {
 public:
  Search(const pcre2_code* code, std::string_view text, MatchBudget* budget)
      : code_(code),
        text_(text),
        budget_(budget),
        data_(pcre2_match_data_create(1, nullptr)),
        context_(pcre2_match_context_create(nullptr)) {}

  // The first match at or behind `from`; absent when there is none.
  absl::StatusOr<std::optional<Match>> Next(size_t from) {
    if (data_ == nullptr || context_ == nullptr) {
      return absl::ResourceExhaustedError("no memory to match a pattern");
    }
    pcre2_set_heap_limit(context_.get(), kHeapLimitKib);
    for (uint64_t limit = kFirstMatchLimit;; limit *= 4) {
      pcre2_set_match_limit(context_.get(), static_cast<uint32_t>(std::min(limit, kHighestLimit)));
      const int result =
          pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text_.data()), text_.size(), from,
                      PCRE2_NO_UTF_CHECK, data_.get(), context_.get());
      if (result >= 0) {
        const PCRE2_SIZE* const bounds = pcre2_get_ovector_pointer(data_.get());
        return std::optional<Match>({bounds[0], bounds[1]});
      }
      if (result == PCRE2_ERROR_NOMATCH) return std::optional<Match>();
      budget_->Spend(limit);
      if (result != PCRE2_ERROR_MATCHLIMIT || limit >= std::min(budget_->left(), kHighestLimit)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "the tokenizer's pattern takes too much work on this text: ", Pcre2Message(result)));
      }
    }
  }

 private:
  const pcre2_code* code_;
  std::string_view text_;
  MatchBudget* budget_;
  MatchData data_;
  MatchContext context_;
};

class RegexPattern final : public SplitPattern {
 public:
  explicit RegexPattern(Code code) : code_(std::move(code)) {}

  // Like Oniguruma's iteration: an empty match right behind a match is skipped, and the search goes
  // on one character further.
  absl::Status Find(std::string_view text, MatchBudget* budget,
                    std::vector<Stretch>* stretches) const override {
    Search search(code_.get(), text, budget);
    size_t covered = 0;
    std::optional<size_t> last_end;
    for (size_t from = 0; from <= text.size();) {
      SSMD_ASSIGN_OR_RETURN(const std::optional<Match> match, search.Next(from));
      if (!match.has_value()) break;
      if (match->begin == match->end && last_end == match->end) {
        if (from == text.size()) break;
        from += DecodeUtf8(text, from).bytes;
        continue;
      }
      if (match->begin > covered) stretches->push_back({match->begin, false});
      stretches->push_back({match->end, true});
      covered = from = match->end;
      last_end = match->end;
    }
    if (covered < text.size()) stretches->push_back({text.size(), false});
    return absl::OkStatus();
  }

 private:
  Code code_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<SplitPattern>> MakeLiteralPattern(std::string_view literal) {
  if (literal.empty()) return absl::InvalidArgumentError("an empty literal matches nothing");
  return std::make_unique<LiteralPattern>(literal);
}

absl::StatusOr<std::unique_ptr<SplitPattern>> MakeRegexPattern(std::string_view expression) {
  if (expression == kGpt2Pattern) return std::make_unique<Gpt2SplitPattern>();
  if (expression.size() > kMaxExpressionBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the expression is longer than ", kMaxExpressionBytes, " bytes"));
  }
  SSMD_ASSIGN_OR_RETURN(const std::string translated, TranslateOniguruma(expression));
  const CompileContext context(pcre2_compile_context_create(nullptr));
  if (context == nullptr) return absl::ResourceExhaustedError("no memory to compile a pattern");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                          PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset,
                          context.get()));
  if (code == nullptr) return absl::InvalidArgumentError(Pcre2Message(error));
  return std::make_unique<RegexPattern>(std::move(code));
}

}  // namespace ssmd
