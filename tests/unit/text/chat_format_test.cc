#include "engine/text/chat_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/text/builtin_chat_formats.h"
#include "engine/text/jinja/template.h"
#include "tests/unit/text/chat_tokenizer.h"

namespace ssmd {
namespace {

using test::MakeChatTokenizer;
using test::Shown;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::time_t kNow = 1772730489;

// What chat models use most: a token around each message, a system prompt of its own, tools, roles
// that it refuses, and answers without their reasoning.
constexpr char kTemplate[] = R"({{- bos_token }}
{%- if messages[0].role == 'system' %}
    {%- set system = messages[0].content %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = 'Be helpful.' %}
{%- endif %}
{{- '<|im_start|>system\n' + system }}
{%- if tools %}
    {{- '\nTools: ' + tools | tojson }}
{%- endif %}
{{- '<|im_end|>\n' }}
{%- for message in messages %}
    {%- if message.role == 'narrator' %}
        {{- raise_exception('no narrators') }}
    {%- endif %}
    {%- set content = message.content | default('') %}
    {%- if message.role == 'assistant' and '</think>' in content %}
        {%- set content = content.split('</think>')[-1] %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\n' + content | trim }}
    {%- for call in message.tool_calls or [] %}
        {{- '[' + call.function.name + ':' + call.function.arguments.city + ']' }}
    {%- endfor %}
    {{- '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n' }}
    {%- endif %}
{%- endif %})";

ChatMessage Says(std::string role, std::string content) {
  ChatMessage message;
  message.role = std::move(role);
  message.content = std::move(content);
  return message;
}

ChatPrompt Chat(std::vector<ChatMessage> messages) {
  ChatPrompt prompt;
  prompt.messages = std::move(messages);
  return prompt;
}

class ChatFormatTest : public ::testing::Test {
 protected:
  ChatFormat Make(const std::string& source, const std::string& with_tools = "") {
    std::optional<jinja::Template> tools;
    if (!with_tools.empty()) tools = jinja::Template::Parse(with_tools).value();
    return ChatFormat({"template",
                       jinja::Template::Parse(source).value(),
                       std::move(tools),
                       {{"bos_token", "<s>"}, {"eos_token", "</s>"}},
                       {},
                       false},
                      tokenizer_.get());
  }
  ChatFormat Builtin(const std::string& name) {
    return ChatFormat(*BuiltinChatFormat(name, {{"eos_token", "</s>"}}), tokenizer_.get());
  }
  std::string Ids(const ChatFormat& format, const ChatPrompt& prompt) {
    const auto ids = format.Tokens(prompt, kNow);
    return ids.ok() ? Shown(*tokenizer_, *ids) : "error: " + std::string(ids.status().message());
  }
  std::string IdsBehindAnswer(const ChatFormat& format, const ChatPrompt& prompt) {
    const auto ids = format.TokensBehindAnswer(prompt, kNow);
    return ids.ok() ? Shown(*tokenizer_, *ids) : "error: " + std::string(ids.status().message());
  }

  const std::unique_ptr<Tokenizer> tokenizer_ = MakeChatTokenizer();
};

TEST_F(ChatFormatTest, ATemplatesSpecialTokensAreTokens) {
  EXPECT_EQ(Ids(Make(kTemplate), Chat({Says("user", " Hi ")})),
            "{<s>}{<|im_start|>}system\nBe helpful.{<|im_end|>}\n{<|im_start|>}user\nHi"
            "{<|im_end|>}\n{<|im_start|>}assistant\n");
}

TEST_F(ChatFormatTest, WhatCallersWriteIsNeverASpecialToken) {
  const ChatFormat format = Make(kTemplate);
  EXPECT_EQ(Ids(format, Chat({Says("system", "<s>"), Says("user", "<|im_end|>")})),
            "{<s>}{<|im_start|>}system\n<s>{<|im_end|>}\n{<|im_start|>}user\n<|im_end|>"
            "{<|im_end|>}\n{<|im_start|>}assistant\n");
  // Nor where a part of it is the template's.
  EXPECT_EQ(Ids(Make("{{ '<|im_' + messages[0].content }}"), Chat({Says("user", "end|>")})),
            "<|im_end|>");
  EXPECT_EQ(Ids(Make("{{ messages[0].content }}|im_end|>"), Chat({Says("user", "<")})),
            "<|im_end|>");
  // Nor where it was cut, turned round, put together or written as JSON.
  EXPECT_EQ(Ids(Make("{{ messages[0].content | reverse }}"), Chat({Says("user", ">|dne_mi|<")})),
            "<|im_end|>");
  EXPECT_EQ(
      Ids(Make("{{ messages[0].content.split(',') | join }}"), Chat({Says("user", "<|im,_end|>")})),
      "<|im_end|>");
  EXPECT_EQ(
      Ids(Make("{{ messages[0].content.replace('x', '_') }}"), Chat({Says("user", "<|imxend|>")})),
      "<|im_end|>");
  EXPECT_EQ(Ids(Make("{{ '<|%s|>' % messages[0].content }}"), Chat({Says("user", "im_end")})),
            "<|im_end|>");
  EXPECT_EQ(Ids(Make("{{ messages | tojson }}"), Chat({Says("user", "<s>")})),
            R"([{"role": "user", "content": "<s>"}])");
  ChatPrompt tools = Chat({Says("user", "x")});
  tools.tools = R"([{"<s>": "<|im_end|>"}])";
  EXPECT_EQ(Ids(Make("{{ tools[0] | tojson }}{{ tools[0] | list | first }}"), tools),
            R"({"<s>": "<|im_end|>"}<s>)");
  tools.template_arguments = R"({"bos_token": "</s>", "x": "<s>"})";
  EXPECT_EQ(Ids(Make("{{ bos_token }}{{ x }}{{ eos_token }}"), tools), "</s><s>{</s>}");
}

// What stands beside it is recognised all the same.
TEST_F(ChatFormatTest, WhatCallersWriteHidesNoTokenOfTheTemplate) {
  const ChatFormat format = Make("{{ messages[0].content }}<|im_end|>{{ messages[0].content }}");
  for (const std::string content : {"<", "<|im_end|", "<|im_start|>", "|>", "<|im_end|><|im_"}) {
    EXPECT_EQ(Ids(format, Chat({Says("user", content)})), content + "{<|im_end|>}" + content);
  }
}

// An added token that is not marked as special is the caller's to write, unless the template does.
TEST_F(ChatFormatTest, TokensThatTheTemplateWritesAreSpecialWhateverTheirFlag) {
  const ChatFormat format = Make("<think>{{ messages[0].content }}");
  EXPECT_EQ(Ids(format, Chat({Says("user", "<think><other>")})), "{<think>}<think>{<other>}");
  const ChatFormat other = Make("{{ '<other>' }}{{ messages[0].content }}");
  EXPECT_EQ(Ids(other, Chat({Says("user", "<think><other>")})), "{<other>}{<think>}<other>");
}

TEST_F(ChatFormatTest, KnownRolesMayBeAPartOfATokenAndOthersNot) {
  const ChatFormat format = Make("{{ '<|' + messages[0].role + '|>' }}");
  EXPECT_EQ(Ids(format, Chat({Says("user", "")})), "{<|user|>}");
  EXPECT_EQ(Ids(format, Chat({Says("im_end", "")})), "<|im_end|>");
}

TEST_F(ChatFormatTest, WhatAMessageHasNotTheTemplateDoesNotSee) {
  const ChatFormat format = Make("{{ messages[0] | tojson }}");
  ChatMessage message;
  message.role = "assistant";
  EXPECT_EQ(Ids(format, Chat({message})), R"({"role": "assistant"})");
  message.content = "";
  message.name = "n";
  message.tool_call_id = "i";
  message.reasoning_content = "r";
  EXPECT_EQ(Ids(format, Chat({message})),
            R"({"thinking": "r", "role": "assistant", "content": "", "name": "n", )"
            R"("tool_call_id": "i", "reasoning_content": "r"})");
}

TEST_F(ChatFormatTest, ArgumentsOfCallsAreObjectsAlsoWhereTheyCameAsText) {
  const ChatFormat format = Make("{{ messages[0].tool_calls | tojson }}");
  ChatMessage message = Says("assistant", "");
  message.tool_calls = R"([{"function": {"name": "f", "arguments": "{\"city\": 1}"}, "id": "a"},)"
                       R"( {"function": {"name": "g", "arguments": {"x": null}}},)"
                       R"( {"function": {"arguments": "not {json"}}, 5])";
  EXPECT_EQ(Ids(format, Chat({message})),
            R"([{"function": {"name": "f", "arguments": {"city": 1}}, "id": "a"}, )"
            R"({"function": {"name": "g", "arguments": {"x": null}}}, )"
            R"({"function": {"arguments": "not {json"}}, 5])");
}

TEST_F(ChatFormatTest, ToolsHaveATemplateOfTheirOwnWhereTheModelHasOne) {
  const ChatFormat format = Make("plain", "tools {{ tools | length }}");
  ChatPrompt prompt = Chat({Says("user", "x")});
  EXPECT_EQ(Ids(format, prompt), "plain");
  prompt.tools = "[]";
  EXPECT_EQ(Ids(format, prompt), "plain");
  prompt.tools = "[{}]";
  EXPECT_EQ(Ids(format, prompt), "tools 1");
}

TEST_F(ChatFormatTest, TheTemplateMayBeGivenArguments) {
  ChatPrompt prompt = Chat({Says("user", "Hi")});
  prompt.template_arguments = R"({"enable_thinking": false, "messages": 5, "tools": 5})";
  EXPECT_THAT(Ids(Make(kTemplate), prompt), HasSubstr("assistant\n{<think>}\n\n</think>\n"));
}

TEST_F(ChatFormatTest, GoesOnWithTheLastMessage) {
  ChatPrompt prompt = Chat({Says("user", "Hi"), Says("assistant", "I am")});
  prompt.continue_final_message = true;
  EXPECT_THAT(Ids(Make(kTemplate), prompt), testing::EndsWith("{<|im_start|>}assistant\nI am"));
  // A space at its end stays where the template keeps it.
  prompt.messages.back().content = "I am ";
  EXPECT_THAT(Ids(Make(kTemplate), prompt), testing::EndsWith("assistant\nI am"));
  EXPECT_THAT(Ids(Builtin("chatml"), prompt), testing::EndsWith("assistant\nI am "));
  EXPECT_THAT(Ids(Make("nothing"), prompt), HasSubstr("does not show the last message"));
  prompt.messages.back().content.reset();
  EXPECT_THAT(Ids(Make(kTemplate), prompt), HasSubstr("no content to go on with"));
}

// The first turn, the answer without its stop, and the second turn are the whole conversation.
TEST_F(ChatFormatTest, ATurnOnAHistoryIsWhatFollowsTheAnswer) {
  const ChatFormat formats[] = {Make(kTemplate),   Builtin("plain"),  Builtin("chatml"),
                                Builtin("zephyr"), Builtin("llama2"), Builtin("mistral"),
                                Builtin("jamba"),  Builtin("rwkv")};
  for (const ChatFormat& format : formats) {
    for (const char* user : {"Bye", "<|im_end|>", "  spaced  "}) {
      const std::string first = Ids(format, Chat({Says("system", "S"), Says("user", "Hi")}));
      const std::string later = IdsBehindAnswer(format, Chat({Says("user", user)}));
      const std::string whole = Ids(format, Chat({Says("system", "S"), Says("user", "Hi"),
                                                  Says("assistant", "Yes."), Says("user", user)}));
      // Mistral's puts the system message before the last question.
      if (format.name() == "mistral") continue;
      const bool spaced =
          format.name() == "plain" || format.name() == "rwkv" || format.name() == "llama2";
      EXPECT_EQ(first + (spaced ? " " : "") + "Yes." + later, whole) << format.name();
    }
  }
}

TEST_F(ChatFormatTest, ATurnOnAHistoryMayBringSeveralMessagesAndTools) {
  ChatPrompt prompt = Chat({Says("tool", "21"), Says("user", "And?")});
  EXPECT_EQ(IdsBehindAnswer(Make(kTemplate), prompt),
            "{<|im_end|>}\n{<|im_start|>}tool\n21{<|im_end|>}\n{<|im_start|>}user\nAnd?"
            "{<|im_end|>}\n{<|im_start|>}assistant\n");
  prompt.tools = "[{}]";  // the first turn has shown them
  EXPECT_EQ(IdsBehindAnswer(Make(kTemplate), prompt),
            IdsBehindAnswer(Make(kTemplate), Chat({Says("tool", "21"), Says("user", "And?")})));
  prompt.add_generation_prompt = false;
  EXPECT_THAT(IdsBehindAnswer(Make(kTemplate), prompt), testing::EndsWith("And?{<|im_end|>}\n"));
  prompt.continue_final_message = true;
  EXPECT_THAT(IdsBehindAnswer(Make(kTemplate), prompt), testing::EndsWith("user\nAnd?"));
}

TEST_F(ChatFormatTest, ATurnIsRefusedWhereTheHistoryWouldBeAnother) {
  const ChatPrompt next = Chat({Says("user", "x")});
  EXPECT_THAT(IdsBehindAnswer(Make("{{ messages[-1].content }}"), next),
              HasSubstr("leaves earlier answers out"));
  EXPECT_THAT(
      IdsBehindAnswer(Make("{% for m in messages %}{{ m.content | upper }}{% endfor %}"), next),
      HasSubstr("does not leave earlier answers as they are"));
  EXPECT_THAT(IdsBehindAnswer(Make("{% for m in messages + messages %}{{ m.content }},"
                                   "{% endfor %}"),
                              next),
              HasSubstr("does not leave earlier answers as they are"));
  // This one gathers what the system says at the top.
  const ChatFormat gathers = Make(
      "{% for m in messages if m.role == 'system' %}{{ m.content }}{% endfor %}"
      "{% for m in messages if m.role != 'system' %}[{{ m.content }}]{% endfor %}");
  EXPECT_EQ(IdsBehindAnswer(gathers, next), "][x]");
  EXPECT_THAT(IdsBehindAnswer(gathers, Chat({Says("user", "x"), Says("system", "y")})),
              HasSubstr("messages[1]: the chat template puts it before earlier answers"));
}

TEST_F(ChatFormatTest, RefusesWithTheTemplatesWordsOrTheFieldsName) {
  const ChatFormat format = Make(kTemplate);
  EXPECT_EQ(Ids(format, Chat({Says("user", "x"), Says("narrator", "y")})),
            "error: the chat template refuses this chat: no narrators");
  EXPECT_THAT(Ids(Make("{{ 1 + x }}"), Chat({Says("user", "x")})),
              HasSubstr("cannot render this: line 1: 'x' is undefined"));
  EXPECT_THAT(Ids(format, Chat({})), HasSubstr("no message"));
  EXPECT_THAT(Ids(format, Chat({Says("user", "x"), Says("user", "\xFF")})),
              HasSubstr("messages[1]: content is not UTF-8 at byte 0"));
  EXPECT_THAT(Ids(format, Chat({Says("", "x")})), HasSubstr("role must have 1 to 64 bytes"));
  EXPECT_THAT(Ids(format, Chat({Says(std::string(65, 'x'), "x")})), HasSubstr("1 to 64 bytes"));
  ChatPrompt prompt = Chat({Says("user", "x")});
  prompt.tools = "{}";
  EXPECT_THAT(Ids(format, prompt), HasSubstr("tools must be an array"));
  prompt.tools = "[";
  EXPECT_THAT(Ids(format, prompt), HasSubstr("tools: byte 1"));
  prompt.tools = "";
  prompt.template_arguments = "[]";
  EXPECT_THAT(Ids(format, prompt), HasSubstr("template_arguments must be an object"));
  prompt.template_arguments = "";
  prompt.messages[0].tool_calls = "x";
  EXPECT_THAT(Ids(format, prompt), HasSubstr("messages[0]: tool_calls: byte 0"));
}

TEST_F(ChatFormatTest, AnswersEndAtTheTokenizersEosAndTheFormatsStops) {
  EXPECT_THAT(Make(kTemplate).stop_token_ids(), ElementsAre(97));
  EXPECT_THAT(Make(kTemplate).stop_strings(), IsEmpty());
  // A stop string that is a token stops as one.
  EXPECT_THAT(Builtin("chatml").stop_token_ids(), ElementsAre(97, 99));
  EXPECT_THAT(Builtin("chatml").stop_strings(), IsEmpty());
  EXPECT_THAT(Builtin("plain").stop_strings(), ElementsAre("\nUser:", "\nSystem:"));
  EXPECT_THAT(Builtin("jamba").stop_strings(), ElementsAre("<|eom|>"));
}

TEST_F(ChatFormatTest, TheBuiltInOnesLookLikeThis) {
  const ChatPrompt chat = Chat(
      {Says("system", "S"), Says("user", "Hi"), Says("assistant", "Yes."), Says("user", "Bye")});
  EXPECT_EQ(Ids(Builtin("plain"), chat),
            "System: S\nUser: Hi\nAssistant: Yes.\nUser: Bye\nAssistant:");
  EXPECT_EQ(Ids(Builtin("chatml"), chat),
            "{<|im_start|>}system\nS{<|im_end|>}\n{<|im_start|>}user\nHi{<|im_end|>}\n"
            "{<|im_start|>}assistant\nYes.{<|im_end|>}\n{<|im_start|>}user\nBye{<|im_end|>}\n"
            "{<|im_start|>}assistant\n");
  EXPECT_EQ(Ids(Builtin("zephyr"), chat),
            "<|system|>\nS{</s>}\n{<|user|>}\nHi{</s>}\n<|assistant|>\nYes.{</s>}\n"
            "{<|user|>}\nBye{</s>}\n<|assistant|>\n");
  EXPECT_EQ(Ids(Builtin("llama2"), chat),
            "[INST] <<SYS>>\nS\n<</SYS>>\n\nHi [/INST] Yes. {</s>}[INST] Bye [/INST]");
  EXPECT_EQ(Ids(Builtin("mistral"), chat), "[INST] Hi[/INST] Yes.{</s>}[INST] S\n\nBye[/INST]");
  EXPECT_EQ(Ids(Builtin("jamba"), chat),
            "<|bom|><|system|> S<|eom|><|bom|>{<|user|>} Hi<|eom|><|bom|><|assistant|> Yes.<|eom|>"
            "<|bom|>{<|user|>} Bye<|eom|><|bom|><|assistant|> ");
  EXPECT_EQ(Ids(Builtin("rwkv"), chat),
            "System: S\n\nUser: Hi\n\nAssistant: Yes.\n\nUser: Bye\n\nAssistant:");
  EXPECT_FALSE(BuiltinChatFormat("none", {}).has_value());
}

TEST_F(ChatFormatTest, TheBuiltInOnesRefuseWhatTheyHaveNoPlaceFor) {
  ChatPrompt tools = Chat({Says("user", "Hi")});
  tools.tools = "[{}]";
  for (const char* name : {"plain", "chatml", "zephyr", "llama2", "mistral", "jamba", "rwkv"}) {
    EXPECT_THAT(Ids(Builtin(name), tools), HasSubstr("no place for tools")) << name;
  }
  for (const char* name : {"llama2", "mistral"}) {
    EXPECT_THAT(Ids(Builtin(name), Chat({Says("user", "x"), Says("system", "y")})),
                HasSubstr("one system message that comes first"));
  }
}

// An answer that comes back as it was sampled is what the model has read.
TEST_F(ChatFormatTest, PlainTakesAnAnswersSpaceAsItIs) {
  for (const std::string answer : {" Hello.", "\nHello.", "\n\n Hello."}) {
    EXPECT_EQ(Ids(Builtin("plain"), Chat({Says("user", "Hi"), Says("assistant", answer)})),
              "User: Hi\nAssistant:" + answer + "\nAssistant:");
  }
  EXPECT_EQ(Ids(Builtin("plain"), Chat({Says("system", " Be kind."), Says("user", "\nHi")})),
            "System:  Be kind.\nUser: \nHi\nAssistant:");
}

}  // namespace
}  // namespace ssmd
