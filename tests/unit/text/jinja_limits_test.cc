// A template is a file of others, and what it is rendered with are callers' words: whatever both
// do, a rendering ends, within its work and its memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/text/jinja/parser.h"
#include "engine/text/jinja/template.h"

namespace ssmd::jinja {
namespace {

using ::testing::HasSubstr;

std::string Repeat(const std::string& text, int count) {
  std::string repeated;
  for (int i = 0; i < count; ++i) repeated += text;
  return repeated;
}

// Why the template is refused; empty where it is not.
std::string Refusal(const std::string& source) {
  return std::string(Template::Parse(source).status().message());
}

// Why its rendering is; `text` is a variable.
std::string Failure(const std::string& source, const std::string& text = "",
                    const RenderLimits& limits = {}) {
  const auto parsed = Template::Parse(source);
  if (!parsed.ok()) return absl::StrCat("refused: ", parsed.status().message());
  const auto rendered = parsed->Render({{"text", Value::String(Text(text, 1))}}, {}, limits);
  return std::string(rendered.status().message());
}

TEST(JinjaLimits, ATemplateMayHaveSoManyBytes) {
  EXPECT_EQ(Refusal(std::string(kMaxTemplateBytes, 'x')), "");
  EXPECT_THAT(Refusal(std::string(kMaxTemplateBytes + 1, 'x')), HasSubstr("the limit is 262144"));
  EXPECT_THAT(Refusal("a\xFF"), HasSubstr("is not UTF-8 at byte 1"));
}

TEST(JinjaLimits, NestingIsBoundedInEveryWayToNest) {
  struct Case {
    const char* what;
    std::string open, inside, close;
  };
  const Case cases[] = {
      {"brackets", "(", "1", ")"},      {"lists", "[", "1", "]"},
      {"dicts", "{1:", "1", "}"},       {"signs", "- ", "1", ""},
      {"negations", "not ", "1", ""},   {"conditions", "1 if 1 else ", "1", ""},
      {"calls", "range(", "1", ")"},    {"indices", "text[", "1", "]"},
      {"sums", "", "1", " + 1"},        {"powers", "", "1", " ** 1"},
      {"or", "", "1", " or 1"},         {"and", "", "1", " and 1"},
      {"filters", "", "1", "|string"},  {"tests", "(", "1", " is none)"},
      {"attributes", "", "text", ".x"}, {"slices", "", "text", "[1:]"},
      {"arguments", "1|d(", "1", ")"},
  };
  for (const Case& test : cases) {
    const auto nested = [&](int depth) {
      return Refusal("{{ " + Repeat(test.open, depth) + test.inside + Repeat(test.close, depth) +
                     " }}");
    };
    EXPECT_EQ(nested(20), "") << test.what;
    EXPECT_THAT(nested(kMaxNesting + 1), HasSubstr("nested deeper than 150")) << test.what;
    EXPECT_THAT(nested(10000), HasSubstr("nested deeper than 150")) << test.what;
  }
  for (const auto& [open, close] :
       {std::pair("{% if 1 %}", "{% endif %}"), std::pair("{% for x in 1, %}", "{% endfor %}"),
        std::pair("{% set x %}", "{% endset %}"), std::pair("{% macro m() %}", "{% endmacro %}"),
        std::pair("{% with %}", "{% endwith %}"), std::pair("{% filter e %}", "{% endfilter %}"),
        std::pair("{% generation %}", "{% endgeneration %}"),
        std::pair("{% call range() %}", "{% endcall %}")}) {
    EXPECT_EQ(Refusal(Repeat(open, 100) + Repeat(close, 100)), "") << open;
    EXPECT_THAT(Refusal(Repeat(open, 200) + Repeat(close, 200)), HasSubstr("nested deeper"))
        << open;
  }
  EXPECT_THAT(Refusal("{% for " + Repeat("(", 200) + "x" + Repeat(")", 200) + " in 1 %}"),
              HasSubstr("nested deeper"));
  // One after the other is no nesting.
  EXPECT_EQ(Refusal("{{ [" + Repeat("1,", 10000) + "] }}"), "");
  EXPECT_EQ(Refusal("{{ 1" + Repeat(" ~ 1", 10000) + " }}"), "");
  EXPECT_EQ(Refusal("{{ 1" + Repeat(" < 2", 10000) + " }}"), "");
  EXPECT_EQ(Refusal("{% if 1 %}" + Repeat("{% elif 1 %}", 10000) + "{% endif %}"), "");
}

TEST(JinjaLimits, MacrosMayCallEachOtherSoDeeply) {
  const std::string counts =
      "{% macro m(n) %}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}";
  EXPECT_EQ(Failure(counts + "{{ m(40) }}"), "");
  EXPECT_THAT(Failure(counts + "{{ m(100000) }}"), HasSubstr("nested deeper than 800"));
  EXPECT_THAT(Failure("{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}"
                      "{{ a() }}"),
              HasSubstr("nested deeper than 800"));
  EXPECT_THAT(Failure("{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}"
                      "{{ m() }}"),
              HasSubstr("nested deeper than 800"));
}

TEST(JinjaLimits, ValuesMayBeNestedSoDeeply) {
  EXPECT_EQ(Failure("{% set ns = namespace(x=[]) %}{% for i in range(90) %}"
                    "{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}"),
            "");
  EXPECT_THAT(Failure("{% set ns = namespace(x=[]) %}{% for i in range(10000) %}"
                      "{% set ns.x = [ns.x] %}{% endfor %}"),
              HasSubstr("nested deeper than 100"));
  EXPECT_THAT(Failure("{% set ns = namespace(x={}) %}{% for i in range(10000) %}"
                      "{% set ns.x = {'a': ns.x} %}{% endfor %}"),
              HasSubstr("nested deeper than 100"));
}

TEST(JinjaLimits, RangesHaveALargestSize) {
  EXPECT_EQ(Failure("{{ range(100000) | length }}"), "");
  EXPECT_THAT(Failure("{{ range(100001) | length }}"), HasSubstr("the limit of 100000"));
  EXPECT_THAT(Failure("{{ range(9223372036854775807) }}"), HasSubstr("the limit of 100000"));
  EXPECT_EQ(Failure("{{ range(9223372036854775806, 9223372036854775807, 5) | length }}"), "");
}

// Each asks for more than there could ever be, in its own way.
TEST(JinjaLimits, WorkIsBoundedWhateverItIs) {
  const char* const kHostile[] = {
      "{{ 'x' * 9223372036854775807 }}",
      "{{ [1] * 9223372036854775807 }}",
      "{{ '' * 9223372036854775807 }}{{ 'x' * 1000000000 }}",
      "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
      "{% for a in range(100000) %}{% for b in range(100000) %}{% if false %}{% endif %}"
      "{% endfor %}{% endfor %}",
      "{% set ns = namespace(s='x') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}"
      "{% endfor %}",
      "{% set ns = namespace(s='x') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}"
      "{% endfor %}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}"
      "{% endfor %}",
      "{% set ns = namespace(s='x') %}{% for i in range(100) %}"
      "{% set ns.s = ns.s.replace('x', 'xx') %}{% endfor %}",
      "{% set ns = namespace(s='x') %}{% for i in range(100) %}"
      "{% set ns.s = ns.s.join([ns.s, ns.s]) %}{% endfor %}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(90) %}{% set ns.s = [ns.s, ns.s] %}"
      "{% endfor %}{{ ns.s }}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(90) %}{% set ns.s = [ns.s, ns.s] %}"
      "{% endfor %}{{ ns.s | tojson }}",
      "{% set ns = namespace(s=[1], t=[1]) %}{% for i in range(90) %}{% set ns.s = [ns.s, ns.s] %}"
      "{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.s == ns.t }}",
      "{% set ns = namespace(s=[1], t=[1]) %}{% for i in range(90) %}{% set ns.s = [ns.s, ns.s] %}"
      "{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.s < ns.t }}",
      "{% macro m(n) %}{% if n > 0 %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}"
      "{{ m(60) }}",
      "{% set l = range(100000) | list %}{% for x in l %}{{ l | sort | length }}{% endfor %}",
      "{% set l = range(100000) | list %}{% for x in l %}{{ x in l }}{% endfor %}",
      "{% set s = 'x' * 1000000 %}{% for x in range(100000) %}{{ s[500000] }}{% endfor %}",
      "{% set s = 'x' * 1000000 %}{% for x in range(100000) %}{{ 'y' in s }}{% endfor %}",
      "{% set s = 'x' * 1000000 %}{% for x in range(100000) %}{{ s | length }}{% endfor %}",
      "{% set s = 'x' * 1000000 %}{% for x in range(100000) %}{{ s == s ~ '' }}{% endfor %}",
      "{% set s = 'x' * 1000000 %}{{ s.strip(s) }}{{ s.strip('y' * 1000000) }}",
      "{% for x in range(100000) %}{% set ns = namespace(a='x' * 100000) %}{% endfor %}",
      "{% for x in range(100000) %}{% macro m() %}{% endmacro %}{% set y = 'x' * 100000 %}"
      "{% endfor %}",
      "{% for a in range(100000) %}{% for b in range(100) %}{% set x = '%1000s' % a %}{% endfor %}"
      "{% endfor %}",
      "{{ 'x'.ljust(9000000000) }}",
      "{{ 'x'.rjust(9223372036854775807) }}",
      "{{ 1 | string | indent(1000000000) }}",
      "{% set s = ('x\n' * 1000000) | indent(1000) %}",
      "{% set s = 'x' * 1000000 %}{{ s | list | map('replace', 'x', s) | list }}",
      "{{ range(100000) | map('string') | map('replace', '', 'x' * 1000) | join }}",
      "{{ [1] | batch(9223372036854775807, 1) | list }}",
      "{{ '{}' * 100000 }}{{ ('{0}' * 100000).format('x' * 100000) }}",
      "{% set s = 'é' * 1000000 %}{{ [s] | tojson(ensure_ascii=true) }}"
      "{% for i in range(1000) %}{{ s | tojson(ensure_ascii=true) | length }}{% endfor %}",
  };
  for (const char* source : kHostile) {
    const std::string failure = Failure(source);
    EXPECT_TRUE(failure.find("more work than the limit") != std::string::npos ||
                failure.find("limit of an indent") != std::string::npos)
        << source << "\n"
        << failure;
  }
}

TEST(JinjaLimits, WhatCallersSayIsBoundedToo) {
  const std::string separators(1 << 20, ',');
  EXPECT_EQ(Failure("{{ text.split(',') | length }}", separators.substr(0, 100000)), "");
  EXPECT_THAT(
      Failure("{% for i in range(100000) %}{{ text.split(',') | length }}{% endfor %}", separators),
      HasSubstr("more work"));
  // A search that starts over for each byte would take minutes.
  const std::string same(1 << 20, 'a');
  const std::string needle = "'" + std::string(1 << 15, 'a') + "b'";
  EXPECT_EQ(Failure("{{ " + needle + " in text }}{{ text.find(" + needle + ") }}" +
                        "{{ text.split(" + needle + ") | length }}{{ text.rfind(" + needle +
                        ") }}{{ text.replace(" + needle + ", '') | length }}",
                    same),
            "");
}

TEST(JinjaLimits, TheTextHasALargestSize) {
  RenderLimits limits;
  limits.output_bytes = 10;
  EXPECT_EQ(Failure("0123456789", "", limits), "");
  EXPECT_THAT(Failure("0123456789{{ 1 }}", "", limits), HasSubstr("longer than 10 bytes"));
  EXPECT_THAT(Failure("{{ text }}", std::string(11, 'x'), limits), HasSubstr("longer than 10"));
  EXPECT_THAT(Failure("{% set x %}{{ text }}{% endset %}", std::string(11, 'x'), limits),
              HasSubstr("longer than 10"));
}

TEST(JinjaLimits, WorkIsCountedAgainstTheLimitGiven) {
  RenderLimits limits;
  limits.work = 100;
  EXPECT_EQ(Failure("a", "", limits), "");
  EXPECT_THAT(Failure("{{ 1 }}{{ 2 }}{{ 3 }}", "", limits), HasSubstr("the limit of 100 units"));
}

TEST(JinjaLimits, WholeNumbersHave64Bits) {
  EXPECT_THAT(Refusal("{{ 9223372036854775808 }}"), HasSubstr("does not fit into 64 bits"));
  for (const char* source :
       {"{{ 9223372036854775807 + 1 }}", "{{ -9223372036854775807 - 2 }}", "{{ 2 ** 63 }}",
        "{{ 4611686018427387904 * 2 }}", "{{ 10 ** 1000000000 }}",
        "{{ (-9223372036854775807 - 1) // -1 }}", "{{ -(-9223372036854775807 - 1) }}",
        "{{ (-9223372036854775807 - 1) | abs }}"}) {
    EXPECT_THAT(Failure(source), HasSubstr("does not fit into 64 bits")) << source;
  }
  EXPECT_EQ(Failure("{{ (-1) ** 9223372036854775807 }}{{ 1 ** 9223372036854775807 }}"), "");
}

// What ends a text in the middle of a character would not be UTF-8.
TEST(JinjaLimits, CutsLieBetweenCharacters) {
  for (const char* source : {"{{ text[1:2] }}", "{{ text[::-1] }}", "{{ text | reverse }}",
                             "{{ text | first }}", "{{ '%.1s' % text }}", "{{ text.strip('é') }}",
                             "{{ text.split('é') }}", "{{ text | upper | title }}"}) {
    const auto parsed = Template::Parse(source);
    ASSERT_TRUE(parsed.ok()) << source;
    const auto text = parsed->Render({{"text", Value::String("é世🌍")}}, {});
    ASSERT_TRUE(text.ok()) << source;
    EXPECT_TRUE(Template::Parse(text->bytes()).ok()) << source;
  }
}

TEST(JinjaErrors, NameTheLine) {
  EXPECT_THAT(Refusal("a\n{{ 1 }}\n{% nosuch %}"), HasSubstr("line 3: the tag 'nosuch'"));
  EXPECT_THAT(Refusal("\n{{ 1 | nosuch }}"), HasSubstr("line 2: the filter 'nosuch' is unknown"));
  EXPECT_THAT(Refusal("\n{{ 1 is nosuch }}"), HasSubstr("line 2: the test 'nosuch' is unknown"));
  EXPECT_THAT(Refusal("\n{{ nosuch(1) }}"), HasSubstr("line 2: the function 'nosuch' is unknown"));
  EXPECT_THAT(Refusal("\n{{ a.nosuch(1) }}"), HasSubstr("line 2: the method 'nosuch' is unknown"));
  EXPECT_THAT(Refusal("{% include 'x' %}"), HasSubstr("line 1: the tag 'include'"));
  EXPECT_THAT(Refusal("{% for x in y recursive %}{% endfor %}"), HasSubstr("recursive"));
  EXPECT_THAT(Failure("a\n{% if true %}\n{{ 1 + nothing }}\n{% endif %}"),
              HasSubstr("line 3: 'nothing' is undefined"));
}

TEST(JinjaErrors, AnExceptionOfTheTemplateIsToldInItsWords) {
  const auto parsed = Template::Parse("{{ raise_exception('Roles ' ~ 1) }}");
  const auto text = parsed->Render({}, {});
  EXPECT_EQ(text.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(text.status().message(), "Roles 1");
}

}  // namespace
}  // namespace ssmd::jinja
