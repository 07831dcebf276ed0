#include "engine/text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/gguf_writer.h"
#include "tests/unit/text/chat_tokenizer.h"

namespace ssmd {
namespace {

using test::TemporaryFolder;
using ::testing::HasSubstr;

class ChatTemplateTest : public ::testing::Test {
 protected:
  // The text that the format makes of one message, or why there is none.
  std::string Render(const std::string& choice = kChatAuto, const std::string& tools = "",
                     const std::string& file = "") {
    const auto format = LoadChatFormat(folder_.path() + file, choice, tokenizer_.get());
    if (!format.ok()) return "error: " + std::string(format.status().message());
    name_ = (*format)->name();
    ChatPrompt prompt;
    prompt.messages.resize(1);
    prompt.messages[0].role = "user";
    prompt.messages[0].content = "Hi";
    prompt.tools = tools;
    const auto text = (*format)->Render(prompt, 0);
    return text.ok() ? text->bytes() : "error: " + std::string(text.status().message());
  }

  const TemporaryFolder folder_;
  const std::unique_ptr<Tokenizer> tokenizer_ = test::MakeChatTokenizer();
  std::string name_;
};

TEST_F(ChatTemplateTest, WithoutAnyTheFormatIsPlain) {
  EXPECT_EQ(Render(), "User: Hi\nAssistant:");
  EXPECT_EQ(name_, "plain");
}

TEST_F(ChatTemplateTest, TheNewestFileCounts) {
  folder_.Write("tokenizer_config.json", R"({"chat_template": "config"})");
  EXPECT_EQ(Render(), "config");
  EXPECT_EQ(name_, "template");
  folder_.Write("chat_template.json", R"({"chat_template": "json"})");
  EXPECT_EQ(Render(), "json");
  folder_.Write("chat_template.jinja", "jinja\n");
  EXPECT_EQ(Render(), "jinja");
}

TEST_F(ChatTemplateTest, AListHasOneForTools) {
  folder_.Write("tokenizer_config.json",
                R"({"chat_template": [{"name": "default", "template": "d"},
                                      {"name": "rag", "template": "{{"},
                                      {"name": "tool_use", "template": "t"}]})");
  EXPECT_EQ(Render(), "d");
  EXPECT_EQ(Render(kChatAuto, "[{}]"), "t");
}

TEST_F(ChatTemplateTest, TemplatesSeeTheTokenizersSpecialTokens) {
  folder_.Write("chat_template.jinja",
                "{{ bos_token }}{{ eos_token }}{{ pad_token }}"
                "{{ unk_token is defined }}");
  folder_.Write("tokenizer_config.json",
                R"({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "unk_token": null})");
  folder_.Write("special_tokens_map.json", R"({"bos_token": "other", "pad_token": "<p>"})");
  EXPECT_EQ(Render(), "<s></s><p>False");
}

TEST_F(ChatTemplateTest, OperatorsMayChooseABuiltInOneInstead) {
  folder_.Write("chat_template.jinja", "{{");
  EXPECT_EQ(Render("chatml"), "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(name_, "chatml");
  for (const char* choice : {"auto", "none", "plain", "zephyr", "llama2", "mistral", "jamba"}) {
    EXPECT_TRUE(IsChatChoice(choice));
    EXPECT_THAT(ChatChoices(), HasSubstr(choice));
  }
  EXPECT_FALSE(IsChatChoice(""));
  EXPECT_FALSE(IsChatChoice("template"));
}

TEST_F(ChatTemplateTest, WhatCannotBeUsedIsNamedWithItsPlace) {
  folder_.Write("tokenizer_config.json", R"({"chat_template": "a\n{% include 'x' %}"})");
  EXPECT_EQ(Render(),
            "error: tokenizer_config.json: chat_template: line 2: the tag 'include' is "
            "unknown or out of place");
  folder_.Write("tokenizer_config.json", R"({"chat_template": 5})");
  EXPECT_THAT(Render(), HasSubstr("chat_template: must be a string, not 5"));
  folder_.Write("tokenizer_config.json", R"({"chat_template": [{"name": "default"}]})");
  EXPECT_THAT(Render(), HasSubstr("chat_template[0]: has no \"template\""));
  folder_.Write("tokenizer_config.json", "{");
  EXPECT_THAT(Render(), HasSubstr("tokenizer_config.json: byte"));
  folder_.Write("tokenizer_config.json", "{}");
  folder_.Write("chat_template.jinja", std::string(300000, 'x'));
  EXPECT_THAT(Render(), HasSubstr("chat_template.jinja: has 300000 bytes; the limit is 262144"));
}

TEST_F(ChatTemplateTest, AGgufFileHasItsOwn) {
  test::GgufFile file;
  file.Set("tokenizer.chat_template", test::GgufString("{{ bos_token }}{{ messages[0].content }}"));
  file.Set("tokenizer.chat_template.tool_use", test::GgufString("tools"));
  file.Set("tokenizer.ggml.bos_token_id", test::GgufU32(96));
  file.Set("tokenizer.ggml.eos_token_id", test::GgufU32(1 << 30));
  folder_.Write("m.gguf", file.Bytes());
  EXPECT_EQ(Render(kChatAuto, "", "/m.gguf"), "<s>Hi");
  EXPECT_EQ(Render(kChatAuto, "[{}]", "/m.gguf"), "tools");
  file.Set("tokenizer.chat_template", test::GgufU32(1));
  folder_.Write("n.gguf", file.Bytes());
  EXPECT_THAT(Render(kChatAuto, "", "/n.gguf"),
              HasSubstr("tokenizer.chat_template must be a string"));
}

}  // namespace
}  // namespace ssmd
