#include "engine/sample/stop_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace ssmd {
namespace {

using Stops = std::vector<std::string>;

struct Found {
  size_t begin = 0;
  size_t end = 0;
};

// The first to complete; of several at the same byte, the longest.
std::optional<Found> FindNaively(const Stops& stops, std::string_view text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& stop : stops) {
      if (text.substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    }
    if (longest > 0) return Found{end - longest, end};
  }
  return std::nullopt;
}

// How much of the text belongs to no stop string whatever follows: all but its longest end that
// begins one.
size_t SafeNaively(const Stops& stops, std::string_view text) {
  size_t held = 0;
  for (const std::string& stop : stops) {
    for (size_t n = 1; n < stop.size(); ++n) {
      if (text.ends_with(stop.substr(0, n))) held = std::max(held, n);
    }
  }
  return text.size() - held;
}

TEST(StopMatcher, FindsAStringAcrossPushes) {
  StopMatcher matcher(MakeStopAutomaton({"\nUser:"}));
  EXPECT_FALSE(matcher.Push("Hello."));
  EXPECT_EQ(matcher.safe_length(), 6u);
  EXPECT_FALSE(matcher.Push("\nUs"));
  EXPECT_EQ(matcher.safe_length(), 6u);
  EXPECT_EQ(matcher.length(), 9u);
  EXPECT_TRUE(matcher.Push("er: hi"));
  EXPECT_EQ(matcher.matched(), "\nUser:");
  EXPECT_EQ(matcher.safe_length(), 6u);
  EXPECT_EQ(matcher.length(), 12u);  // nothing behind the match was read
}

TEST(StopMatcher, ReleasesTextThatCannotMatchAnyMore) {
  StopMatcher matcher(MakeStopAutomaton({"aab"}));
  EXPECT_FALSE(matcher.Push("aa"));
  EXPECT_EQ(matcher.safe_length(), 0u);
  EXPECT_FALSE(matcher.Push("a"));
  EXPECT_EQ(matcher.safe_length(), 1u);
  EXPECT_FALSE(matcher.Push("c"));
  EXPECT_EQ(matcher.safe_length(), 4u);
}

TEST(StopMatcher, ChoosesAmongStrings) {
  struct {
    Stops stops;
    std::string_view text;
    std::string matched;  // empty: none
    uint64_t safe_length;
  } const kCases[] = {
      {{"abcd", "bc"}, "xabcd", "bc", 2},      // completes first
      {{"c", "abc", "bc"}, "xabc", "abc", 1},  // the longest of three
      {{"abc"}, "ababc", "abc", 2},
      {{"a", "a"}, "xa", "a", 1},  // the same string twice
      {{}, "text", "", 4},
      {{""}, "text", "", 4},  // ignored
      {{"\xC3\xA9"}, "\xC3\xA9", "\xC3\xA9", 0},
      {{std::string("\0x", 2)}, std::string_view("a\0x", 3), std::string("\0x", 2), 1},
      {{"aaa"}, "aa", "", 0},
  };
  for (const auto& [stops, text, matched, safe_length] : kCases) {
    StopMatcher matcher(MakeStopAutomaton(stops));
    ASSERT_EQ(matcher.Push(text), !matched.empty()) << text;
    if (!matched.empty()) {
      EXPECT_EQ(matcher.matched(), matched);
    }
    EXPECT_EQ(matcher.safe_length(), safe_length) << text;
  }
}

TEST(StopMatcher, CopiesGoTheirOwnWays) {
  StopMatcher first(MakeStopAutomaton({"ab"}));
  first.Push("a");
  StopMatcher second = first;
  EXPECT_TRUE(first.Push("b"));
  EXPECT_FALSE(second.Push("c"));
  EXPECT_EQ(second.safe_length(), 2u);
}

TEST(StopMatcher, EqualsNaiveSearchForEveryCut) {
  std::mt19937 random(3);
  const auto below = [&](size_t n) { return random() % n; };
  const auto word = [&](size_t longest, size_t letters) {
    std::string text;
    for (size_t i = 1 + below(longest); i > 0; --i) text += "abc"[below(letters)];
    return text;
  };
  for (int round = 0; round < 20000; ++round) {
    const size_t letters = 1 + below(3);
    Stops stops;
    for (size_t i = 1 + below(4); i > 0; --i) stops.push_back(word(5, letters));
    const std::string text = word(24, 3);
    const auto expected = FindNaively(stops, text);
    StopMatcher matcher(MakeStopAutomaton(stops));
    bool matched = false;
    size_t at = 0;
    while (!matched && at < text.size()) {
      const size_t step = below(5);
      matched = matcher.Push(std::string_view(text).substr(at, step));
      at = std::min(at + step, text.size());
      if (matched) break;
      ASSERT_EQ(matcher.length(), at);
      ASSERT_EQ(matcher.safe_length(), SafeNaively(stops, std::string_view(text).substr(0, at)));
    }
    ASSERT_EQ(matched, expected.has_value()) << text;
    if (!matched) continue;
    ASSERT_EQ(matcher.safe_length(), expected->begin) << text;
    ASSERT_EQ(matcher.length(), expected->end) << text;
    ASSERT_EQ(matcher.matched(), text.substr(expected->begin, expected->end - expected->begin));
  }
}

}  // namespace
}  // namespace ssmd
