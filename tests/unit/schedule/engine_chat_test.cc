// Chats: what a turn reads of its messages, at the start and behind a history.
#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/unit/schedule/engine_fixture.h"

namespace ssmd::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The fake vocabulary: 1 a, 2 b, 3 c, 4 d, 5 e, 23 z.
constexpr char kTemplate[] =
    "a{% for m in messages %}{{ m.content }}d{% endfor %}{{ 'z' if add_generation_prompt }}";

class EngineChatTest : public EngineTest {
 protected:
  void StartWith(const std::string& chat, std::optional<int32_t> bos = std::nullopt) {
    FakeEngineOptions options;
    options.chat = chat;
    options.bos = bos;
    Start(options);
  }
  static ChatPrompt Says(const std::string& role, const std::string& content) {
    ChatPrompt prompt;
    prompt.messages.resize(1);
    prompt.messages[0].role = role;
    prompt.messages[0].content = content;
    return prompt;
  }
  GenerateRequest Chat(ChatPrompt prompt, const std::string& session_id = "") {
    GenerateRequest request = Request({}, 2);
    request.prompt = std::move(prompt);
    request.session_id = session_id;
    request.echo = true;
    return request;
  }
  std::vector<int32_t> Read(ChatPrompt prompt, const std::string& session_id = "") {
    const Answer answer = RunTurn(engine_.get(), Chat(std::move(prompt), session_id));
    EXPECT_TRUE(answer.status.ok()) << answer.status;
    return answer.status.ok() ? answer.choices.at(0).echo_ids : std::vector<int32_t>();
  }
  std::string Why(ChatPrompt prompt, const std::string& session_id = "") {
    return std::string(
        RunTurn(engine_.get(), Chat(std::move(prompt), session_id)).status.message());
  }
};

TEST_F(EngineChatTest, ATurnOnASessionReadsWhatFollowsTheLastAnswer) {
  StartWith(kTemplate);
  const std::string id = NewSession();
  EXPECT_THAT(Read(Says("user", "e"), id), ElementsAre(1, 5, 4, 23));
  EXPECT_THAT(Read(Says("user", "e"), id), ElementsAre(4, 5, 4, 23));
  EXPECT_THAT(Read(Says("user", "e")), ElementsAre(1, 5, 4, 23));
}

TEST_F(EngineChatTest, OnlyABuiltInFormatGetsABosFromTheTokenizer) {
  StartWith(kTemplate, 27);
  EXPECT_THAT(Read(Says("user", "e")), ElementsAre(1, 5, 4, 23));
  StartWith("{{ messages[-1].content }}", 27);
  EXPECT_THAT(Read(Says("user", "e")), ElementsAre(5));
}

TEST_F(EngineChatTest, WhatTheTemplateRefusesBehindAHistoryItMayTakeAtTheStart) {
  StartWith("a{{ messages[-1].content }}");  // shows no answers
  const std::string id = NewSession();
  EXPECT_THAT(Read(Says("user", "e"), id), ElementsAre(1, 5));
  EXPECT_THAT(Why(Says("user", "e"), id), HasSubstr("leaves earlier answers out"));
}

TEST_F(EngineChatTest, WhatTheTemplateRefusesAtTheStartItMayTakeBehindAHistory) {
  StartWith(std::string("{% if messages[0].role != 'user' %}{{ raise_exception('users begin') }}"
                        "{% endif %}") +
            kTemplate);
  const std::string id = NewSession();
  EXPECT_THAT(Why(Says("tool", "e"), id), HasSubstr("users begin"));
  EXPECT_THAT(Read(Says("user", "e"), id), ElementsAre(1, 5, 4, 23));
  EXPECT_THAT(Read(Says("tool", "e"), id), ElementsAre(4, 5, 4, 23));
  EXPECT_THAT(Why(Says("tool", "e")), HasSubstr("users begin"));
}

TEST_F(EngineChatTest, ARefusalIsAnInvalidFieldThatNamesTheMessagesAndTheModel) {
  StartWith("{{ raise_exception('no ' ~ messages[0].role) }}");
  const absl::Status status = Refusal(Chat(Says("user", "e")));
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(ReasonOf(status), reason::kInvalidField);
  EXPECT_EQ(status.message(),
            "messages cannot be given to model fake: the chat template refuses this chat: no user");
}

TEST_F(EngineChatTest, ASessionMadeWithAnAnswerGoesOnBehindIt) {
  StartWith(kTemplate);
  CreateSessionRequest request;
  request.tenant = "tenant";
  ChatPrompt seed = Says("user", "e");
  seed.messages.push_back(Says("assistant", "b").messages[0]);
  request.prompt = seed;
  const auto session = CreateSession(engine_.get(), request);
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ(session->position, 4);  // a, e, d, b: no end of the answer
  EXPECT_THAT(Read(Says("user", "e"), session->session_id), ElementsAre(4, 5, 4, 23));
}

TEST_F(EngineChatTest, WithoutAFormatChatsAreRefusedAndTextIsNot) {
  StartWith("");
  EXPECT_THAT(Why(Says("user", "e")), HasSubstr("model fake takes no chats: it was made without"));
  GenerateRequest request = Request({}, 2);
  request.prompt = std::string("abc");
  EXPECT_TRUE(RunTurn(engine_.get(), request).status.ok());
  EXPECT_EQ(engine_->Models()[0].chat_format, "none");
  FakeEngineOptions options;
  options.tokenizer = false;
  Start(options);
  EXPECT_THAT(Why(Says("user", "e")), HasSubstr("no tokenizer"));
}

TEST_F(EngineChatTest, TheFormatIsToldWithTheModel) {
  StartWith("plain");
  EXPECT_EQ(engine_->Models()[0].chat_format, "plain");
  StartWith(kTemplate);
  EXPECT_EQ(engine_->Models()[0].chat_format, "template");
}

}  // namespace
}  // namespace ssmd::testing
