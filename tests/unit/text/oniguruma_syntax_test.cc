#include "engine/text/oniguruma_syntax.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace ssmd {
namespace {

TEST(TranslateOniguruma, KeepsOrRewritesWhatItKnows) {
  struct {
    const char* expression;
    const char* expected;
  } const kCases[] = {
      {"", ""},
      {"ab|c", "ab|c"},
      {"(?:a)(?=b)(?!c)(?<=d)(?<!e)(?>f)(?i:g)(h)", "(?:a)(?=b)(?!c)(?<=d)(?<!e)(?>f)(?i:g)(h)"},
      {"a*b+?c?+d{2}e{1,3}f{4,}", "a*b+?c?+d{2}e{1,3}f{4,}"},
      {R"(\s\S)", R"(\p{White_Space}\P{White_Space})"},
      {R"([\s-x\-])", R"([\p{White_Space}\-x\-])"},
      {R"(\p{Zs}\P{Zs}\p{^Zs})", R"(\p{Zs}\P{Zs}\P{Zs})"},
      {R"([^\r\n\P{Sc}])", R"([^\r\n\P{Sc}])"},
      {R"(.\v\.)", R"([^\n]\x{b}\.)"},
      {R"(\x{4E00}\u3042\x41)", R"(\x{4e00}\x{3042}\x{41})"},
      {R"([a-z一-龥])", R"([a-z一-龥])"},
  };
  for (const auto& [expression, expected] : kCases) {
    const auto translated = TranslateOniguruma(expression);
    ASSERT_TRUE(translated.ok()) << expression << ": " << translated.status();
    EXPECT_EQ(*translated, expected);
  }
}

TEST(TranslateOniguruma, AddsWhatNewerUnicodeHasToCategories) {
  EXPECT_THAT(*TranslateOniguruma(R"(\p{L})"), testing::StartsWith(R"([\p{L}\x{)"));
  EXPECT_THAT(*TranslateOniguruma(R"(\P{L})"), testing::StartsWith(R"([^\p{L}\x{)"));
  EXPECT_THAT(*TranslateOniguruma(R"([\p{L}_])"), testing::EndsWith("}_]"));
  EXPECT_THAT(*TranslateOniguruma(R"(\d)"), testing::StartsWith(R"([\p{Nd}\x{)"));
  EXPECT_THAT(*TranslateOniguruma(R"(\D)"), testing::StartsWith(R"([^\p{Nd}\x{)"));
}

TEST(TranslateOniguruma, RefusesTheRestQuotingIt) {
  struct {
    const char* expression;
    const char* quoted;
  } const kCases[] = {
      {"^a", "\"^\""},           {"a$", "\"$\""},
      {"a]", "\"]\""},           {"a}", "\"}\""},
      {R"(\w)", R"("\w")"},      {R"(\b)", R"("\b")"},
      {R"(\1)", R"("\1")"},      {R"(\h)", R"("\h")"},
      {"\\", "\"\\\""},          {R"(\p{Han})", R"("\p{Han}")"},
      {R"(\p{Mn})", "Mn"},       {R"(\pL)", R"("\pL")"},
      {R"(\p{L)", R"("\p{L")"},  {R"([\P{L}])", R"("[\P{L}]")"},
      {"(?i)a", "\"(?i)\""},     {"(?<n>a)", "\"(?<n\""},
      {"(?#c)", "\"(?#c\""},     {"a{,2}", "\"{,2}\""},
      {"a{2}+", "\"{2}+\""},     {"a{1,2}?", "\"{1,2}?\""},
      {"a{", "\"{\""},           {"a{x}", "\"{x}\""},
      {"a{1,2,3}", "{1,2,3}"},   {"[]", "\"[]\""},
      {"[^]", "\"[]\""},         {"[a[b]]", "\"[b\""},
      {"[[:alpha:]]", "\"[:\""}, {"[a&&b]", "\"&&\""},
      {"[a", "not closed"},      {R"(\x{110000})", R"("\x{110000}")"},
      {R"(\x{D800})", "D800"},   {R"(\xFF)", R"("\xFF")"},
      {R"(\u12)", R"("\u12")"},  {R"(\x{})", R"("\x{}")"},
  };
  for (const auto& [expression, quoted] : kCases) {
    const auto translated = TranslateOniguruma(expression);
    ASSERT_TRUE(absl::IsInvalidArgument(translated.status())) << expression;
    EXPECT_THAT(std::string(translated.status().message()), testing::HasSubstr(quoted));
  }
}

}  // namespace
}  // namespace ssmd
