#include "engine/formats/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/temp_folder.h"

namespace ssmd {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<JsonDocument> Parse(const std::string& text, JsonLimits limits = JsonLimits()) {
  return JsonDocument::Parse(text, "file.json", limits);
}

TEST(Json, ReadsEveryKindOfValue) {
  const auto document = Parse(R"({"n": null, "b": true, "i": -42, "d": 2.5e-3, "s": "héé\u00e9",
                                  "a": [1, [], {}], "o": {"x": 1, "y": 2}})");
  ASSERT_TRUE(document.ok()) << document.status();
  const JsonValue root = document->root();
  EXPECT_TRUE(root.Find("n")->is_null());
  EXPECT_EQ(root.Find("b")->AsBool(), true);
  EXPECT_EQ(root.Find("i")->AsInt(), -42);
  EXPECT_EQ(root.Find("i")->AsDouble(), -42.0);
  EXPECT_EQ(root.Find("d")->AsDouble(), 2.5e-3);
  EXPECT_EQ(root.Find("d")->AsInt(), std::nullopt);
  EXPECT_EQ(root.Find("s")->AsString(), "héé\xC3\xA9");
  EXPECT_EQ(root.Find("a")->elements().size(), 3u);
  EXPECT_TRUE(root.Find("a")->elements()[1].elements().empty());
  EXPECT_FALSE(root.Find("absent"));
  EXPECT_FALSE(root.Find("s")->Find("x"));

  std::vector<std::string> keys;
  for (const auto& [key, value] : root.Find("o")->members()) keys.emplace_back(key);
  EXPECT_THAT(keys, ::testing::ElementsAre("x", "y"));
}

TEST(Json, SurvivesBeingMoved) {
  auto document = *Parse(R"(["short", "a string that is too long for any small buffer"])");
  const JsonDocument moved = std::move(document);
  EXPECT_EQ(moved.root().elements()[0].AsString(), "short");
  EXPECT_EQ(moved.root().elements()[1].AsString()->size(), 46u);
}

TEST(Json, KeepsWholeNumbersExactly) {
  const auto document =
      Parse("[9223372036854775807, -9223372036854775808, 9223372036854775808, 7.0]");
  ASSERT_TRUE(document.ok());
  const JsonArray numbers = document->root().elements();
  EXPECT_EQ(numbers[0].AsInt(), INT64_MAX);
  EXPECT_EQ(numbers[1].AsInt(), INT64_MIN);
  EXPECT_EQ(numbers[2].AsInt(), std::nullopt);
  EXPECT_EQ(numbers[2].AsDouble(), 9223372036854775808.0);
  EXPECT_EQ(numbers[3].AsInt(), std::nullopt);
}

TEST(Json, ReadsNumbersToTheNearestDouble) {
  const auto document = Parse("[0.1, 1e-7, 123456789.123456789, 1e-400, 4.9e-324]");
  ASSERT_TRUE(document.ok());
  const double expected[] = {0.1, 1e-7, 123456789.123456789, 0, 4.9e-324};
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(document->root().elements()[i].AsDouble(), expected[i]);
}

TEST(Json, TakesNonFiniteNumbersOnlyWhereAsked) {
  JsonLimits limits;
  limits.allow_non_finite = true;
  const auto document = Parse("[NaN, Infinity, -Infinity]", limits);
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_TRUE(std::isnan(*document->root().elements()[0].AsDouble()));
  EXPECT_EQ(document->root().elements()[1].AsDouble(), INFINITY);
  EXPECT_EQ(document->root().elements()[2].AsDouble(), -INFINITY);
  for (const char* text : {"[NaN]", "[Infinity]", "[-Infinity]"}) EXPECT_FALSE(Parse(text).ok());
  for (const char* text : {"[Inf]", "[-NaN]", "[nan]", "[-Inf]"}) {
    EXPECT_FALSE(Parse(text, limits).ok()) << text;
  }
}

struct BadText {
  const char* name;
  std::string text;
  const char* error;
};

class JsonRefuses : public ::testing::TestWithParam<BadText> {};

TEST_P(JsonRefuses, WithTheSourceTheByteAndTheReason) {
  const auto document = Parse(GetParam().text);
  ASSERT_EQ(document.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(document.status().message()), HasSubstr("file.json: byte "));
  EXPECT_THAT(std::string(document.status().message()), HasSubstr(GetParam().error));
}

INSTANTIATE_TEST_SUITE_P(
    All, JsonRefuses,
    ::testing::Values(
        BadText{"Nothing", "", "byte 0: "}, BadText{"Blank", " \n", "byte 2: "},
        BadText{"TrailingText", "{} {}", "byte 3: "}, BadText{"TrailingComma", "[1,]", "byte 3: "},
        BadText{"Comment", "[1] // x", "byte 4: "}, BadText{"SingleQuotes", "['a']", "byte 1: "},
        BadText{"Unclosed", "[[1", "byte 3: "}, BadText{"Truncated", "{\"a", "byte "},
        BadText{"DuplicateKey", "{\"a\": 1, \"b\": {\"a\": 2}, \"a\": 3}", "duplicate key \"a\""},
        BadText{"DuplicateEscapedKey", "{\"a\": 1, \"\\u0061\": 3}", "duplicate key \"a\""},
        BadText{"NulByte", std::string("[1]\0", 4), "byte 3: a NUL"},
        BadText{"ControlCharacter", "[\"\x01\"]", "byte "},
        BadText{"Latin1", "[\"\xE9\"]", "byte 2: not UTF-8"},
        BadText{"OverlongUtf8", "[\"\xC0\xAF\"]", "byte 2: not UTF-8"},
        BadText{"SurrogateUtf8", "[\"\xED\xA0\x80\"]", "byte 2: not UTF-8"},
        BadText{"CutUtf8", "[\"\xE2\x82", "byte 2: not UTF-8"},
        BadText{"LoneHighSurrogate", "[\"\\ud800\"]", "byte "},
        BadText{"LoneLowSurrogate", "[\"\\udc00\"]", "surrogate"},
        BadText{"ByteOrderMark", "\xEF\xBB\xBF{}", "byte 0: "},
        BadText{"LeadingZero", "[01]", "byte 2: "}, BadText{"TooLarge", "[1e999]", "too "},
        BadText{"LongNumber", "[0." + std::string(100, '0') + "1]", "longer than 64"}),
    [](const auto& test) { return test.param.name; });

struct Limit {
  const char* name;
  JsonLimits limits;
  std::string within;
  std::string beyond;
};

class JsonLimit : public ::testing::TestWithParam<Limit> {};

TEST_P(JsonLimit, AdmitsTheLastAndRefusesTheNext) {
  const auto within = Parse(GetParam().within, GetParam().limits);
  EXPECT_TRUE(within.ok()) << within.status();
  EXPECT_EQ(Parse(GetParam().beyond, GetParam().limits).status().code(),
            absl::StatusCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(
    All, JsonLimit,
    ::testing::Values(
        Limit{"Bytes", {5, 100, 100, false}, "[1,2]", "[1,22]"},
        Limit{"Values", {100, 3, 100, false}, "[1,2]", "[1,2,3]"},
        Limit{
            "ValuesOfMembers", {100, 3, 100, false}, R"({"a":1,"b":2})", R"({"a":1,"b":2,"c":3})"},
        Limit{"Depth", {100, 100, 2, false}, "[[1]]", "[[[1]]]"},
        Limit{"DepthOfObjects", {100, 100, 2, false}, R"({"a":{"b":1}})", R"({"a":{"b":[]}})"}),
    [](const auto& test) { return test.param.name; });

TEST(Json, RefusesABombWithoutOverflowingTheStack) {
  JsonLimits limits;
  limits.bytes = 64 << 20;
  limits.values = 64 << 20;
  limits.depth = 1 << 30;  // so that only the parser itself could run out
  const size_t kDepth = 1'000'000;
  EXPECT_FALSE(Parse(std::string(kDepth, '['), limits).ok());
  EXPECT_FALSE(Parse(std::string(kDepth, '[') + std::string(kDepth, '}'), limits).ok());
  limits.depth = 100;
  const auto document = Parse(std::string(kDepth, '['), limits);
  EXPECT_THAT(std::string(document.status().message()), HasSubstr("byte 100: nested deeper"));
}

TEST(Json, DescribesValuesInBoundedLength) {
  const auto document = Parse("[null, true, 12, \"a\\u0000b\", [1, 2], {\"a\": 1}, \"" +
                              std::string(500, '\x7F') + "\"]");
  ASSERT_TRUE(document.ok());
  std::vector<std::string> texts;
  for (const JsonValue value : document->root().elements()) texts.push_back(value.Describe());
  EXPECT_THAT(texts[3], HasSubstr("a\\x00"));
  EXPECT_EQ(texts[4], "an array of 2");
  for (const std::string& text : texts) EXPECT_LE(text.size(), 64u);
}

TEST(Json, ReadsAFileAndNamesIt) {
  const testing::TempFolder folder;
  EXPECT_EQ(JsonDocument::ParseFile(folder.File("none.json"), JsonLimits()).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_TRUE(JsonDocument::ParseFile(folder.Write("a.json", "{\"a\": 1}"), JsonLimits()).ok());
  const auto bad = JsonDocument::ParseFile(folder.Write("b.json", "{"), JsonLimits());
  EXPECT_THAT(std::string(bad.status().message()), ::testing::StartsWith("b.json: byte 1: "));
  const auto empty = JsonDocument::ParseFile(folder.Write("c.json", ""), JsonLimits());
  EXPECT_THAT(std::string(empty.status().message()), ::testing::StartsWith("c.json: byte 0: "));
}

}  // namespace
}  // namespace ssmd
