// The fake model's vocabulary: letters, pairs of letters, and the single bytes of "é" and "€", so
// that stop strings and characters lie across tokens in every way. Encoding takes the longest
// token.
#ifndef SSMD_TESTS_UNIT_SCHEDULE_FAKE_TOKENIZER_H_
#define SSMD_TESTS_UNIT_SCHEDULE_FAKE_TOKENIZER_H_

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/detokenizer.h"
#include "engine/text/tokenizer.h"
#include "tests/unit/schedule/fake_model.h"

namespace ssmd::testing {

class FakeTokenizer final : public Tokenizer {
 public:
  explicit FakeTokenizer(std::optional<int32_t> bos = std::nullopt) : bos_(bos) {}

  static constexpr std::array<std::string_view, FakeModel::kVocabulary> kTokens = {
      "<end>",    "a",     "b",     "c",   "d",  "e",    "f",    "g",     "ab",      "bc",
      "ca",       "da",    "abc",   "cab", "bb", "\xC3", "\xA9", "\xE2",  "\x82",    "\xAC",
      "\xC3\xA9", "a\xE2", "\xACz", "z",   " ",  "ba",   "dd",   "<bos>", "<poison>"};

  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text,
                                              const EncodeOptions&) const override {
    Detokenizer check;
    std::string whole = check.Push(text) + check.Flush();
    if (whole != text) return absl::InvalidArgumentError("not UTF-8");
    std::vector<int32_t> ids;
    while (!text.empty()) {
      int32_t best = -1;
      for (int32_t id = 1; id < size(); ++id) {
        const std::string_view token = TokenBytes(id);
        if (IsSpecial(id) || text.substr(0, token.size()) != token) continue;
        if (best < 0 || token.size() > TokenBytes(best).size()) best = id;
      }
      if (best < 0) return absl::InvalidArgumentError("a character that no token has");
      ids.push_back(best);
      text.remove_prefix(TokenBytes(best).size());
    }
    return ids;
  }
  std::string_view TokenBytes(int32_t id) const override {
    return kTokens[static_cast<size_t>(id)];
  }
  bool IsSpecial(int32_t id) const override { return id == FakeModel::kEos || id >= 27; }
  std::optional<int32_t> TokenId(std::string_view token) const override {
    for (int32_t id = 0; id < size(); ++id) {
      if (TokenBytes(id) == token) return id;
    }
    return std::nullopt;
  }
  std::vector<AddedTokenText> added_tokens() const override { return {}; }
  int32_t size() const override { return FakeModel::kVocabulary; }
  std::optional<int32_t> bos_to_add() const override { return bos_; }

 private:
  const std::optional<int32_t> bos_;
};

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_UNIT_SCHEDULE_FAKE_TOKENIZER_H_
