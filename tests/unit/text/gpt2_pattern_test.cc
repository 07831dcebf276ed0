#include "engine/text/gpt2_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ssmd {
namespace {

using Words = std::vector<std::string>;

Words Cut(std::string_view text) {
  Words words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = Gpt2MatchEnd(text, at);
    words.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

TEST(Gpt2MatchEnd, CutsAsThePatternDoes) {
  struct {
    std::string_view text;
    Words words;
  } const kCases[] = {
      {"", {}},
      {"Hello world", {"Hello", " world"}},
      {"it's we'll they've", {"it", "'s", " we", "'ll", " they", "'ve"}},
      {"IT'S 'tis", {"IT", "'", "S", " '", "tis"}},
      {"'r'v'l'", {"'", "r", "'", "v", "'", "l", "'"}},
      {"''s", {"''", "s"}},
      {"a  b", {"a", " ", " b"}},
      {"a   ", {"a", "   "}},
      {"a\n\nb", {"a", "\n", "\n", "b"}},
      {"a \n b", {"a", " \n", " b"}},
      {" \t", {" \t"}},
      {"\tb", {"\t", "b"}},
      {"12ab 34.5", {"12", "ab", " 34", ".", "5"}},
      {"x!? $y", {"x", "!?", " $", "y"}},
      {"\xC2\xA0\xC2\xA0x", {"\xC2\xA0", "\xC2\xA0", "x"}},  // NBSP
      {"e\xCC\x81", {"e", "\xCC\x81"}},                      // a mark is no letter
  };
  for (const auto& [text, words] : kCases) EXPECT_EQ(Cut(text), words) << text;
}

}  // namespace
}  // namespace ssmd
