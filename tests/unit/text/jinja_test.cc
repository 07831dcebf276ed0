// Templates against what Hugging Face transformers renders of them
// (tests/reference/make_chat_golden.py).
#include <gtest/gtest.h>

#include <ctime>
#include <string>

#include "engine/formats/json.h"
#include "engine/text/jinja/json_value.h"
#include "engine/text/jinja/template.h"

namespace ssmd::jinja {
namespace {

std::tm GoldenTime() {
  std::tm time = {};
  time.tm_year = 126;
  time.tm_mon = 2;
  time.tm_mday = 5;
  time.tm_hour = 17;
  time.tm_min = 8;
  time.tm_sec = 9;
  return time;
}

std::string RenderOrError(std::string_view source, const Variables& variables) {
  const auto parsed = Template::Parse(source);
  if (!parsed.ok()) return "error: " + std::string(parsed.status().message());
  const auto text = parsed->Render(variables, GoldenTime());
  if (!text.ok()) return "error: " + std::string(text.status().message());
  return text->bytes();
}

TEST(JinjaGolden, RendersWhatTransformersRenders) {
  auto golden = JsonDocument::ParseFile(SSMD_TEXT_DATA "/jinja_golden.json", {});
  ASSERT_TRUE(golden.ok()) << golden.status();
  Variables variables;
  for (const auto& [name, value] : golden->root().Find("variables")->members()) {
    variables.emplace_back(std::string(name), FromJson(value, kOfTemplate).value());
  }
  for (const JsonValue entry : golden->root().Find("cases")->elements()) {
    const auto source = *entry.Find("template")->AsString();
    const std::string actual = RenderOrError(source, variables);
    if (const auto expected = entry.Find("text")->AsString()) {
      EXPECT_EQ(actual, *expected) << source;
    } else {
      EXPECT_EQ(actual.substr(0, 7), "error: ") << source << "\n" << actual;
    }
  }
}

}  // namespace
}  // namespace ssmd::jinja
