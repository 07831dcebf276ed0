#include "clients/bench/conversations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ssmd::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::vector<Conversation> Conversations(std::string_view text) {
  auto parsed = ParseConversations(text);
  EXPECT_TRUE(parsed.ok()) << text << ": " << parsed.error().message;
  return parsed.ok() ? std::move(parsed).value() : std::vector<Conversation>();
}

TEST(Conversations, OfJsonLines) {
  const auto all = Conversations(
      "[\"Hi\", \"And you?\"]\n"
      "[{\"role\":\"system\",\"content\":\"Be kind.\"},{\"role\":\"user\",\"content\":\"One\"},"
      "{\"role\":\"assistant\",\"content\":null},{\"role\":\"user\",\"content\":\"Two\"}]\n\n"
      "{\"id\":7,\"messages\":[{\"role\":\"user\",\"content\":\"Three\"}]}\r\n"
      "{\"conversations\":[{\"from\":\"human\",\"value\":\"Four\"},"
      "{\"from\":\"gpt\",\"value\":\"5\"}]}");
  ASSERT_THAT(all, SizeIs(4));
  EXPECT_THAT(all[0].user_turns, ElementsAre("Hi", "And you?"));
  EXPECT_EQ(all[1].system, "Be kind.");
  EXPECT_THAT(all[1].user_turns, ElementsAre("One", "Two"));
  EXPECT_THAT(all[2].user_turns, ElementsAre("Three"));
  EXPECT_THAT(all[3].user_turns, ElementsAre("Four"));
}

TEST(Conversations, OfOneArray) {
  const auto all = Conversations(" [[\"a\",\"b\"],\n {\"turns\":[\"c\"]},[]]\n");
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_THAT(all[0].user_turns, ElementsAre("a", "b"));
  EXPECT_THAT(all[1].user_turns, ElementsAre("c"));
}

TEST(Conversations, OfPlainText) {
  const auto all = Conversations(
      "User: Hi\nAssistant: Hello.\nHow are you?\r\nUser: Fine\nand well\n\n\n"
      "System: Short.\nUser:  Bye\nAssistant: ");
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_THAT(all[0].user_turns, ElementsAre("Hi", "Fine\nand well"));
  EXPECT_EQ(all[1].system, "Short.");
  EXPECT_THAT(all[1].user_turns, ElementsAre("Bye"));
}

TEST(Conversations, TurnsOfTheUserInARowAreOne) {
  const auto all =
      Conversations(R"([{"role":"user","content":"a"},{"role":"user","content":"b"}])");
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_THAT(all[0].user_turns, ElementsAre("a\nb"));
}

TEST(Conversations, SayWhatIsWrongWithAFile) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "no turn"},
      {" \n ", "no turn"},
      {"Hello there", "line 1: a conversation must begin"},
      {"User: a\n\nwhat", "line 3: "},
      {std::string("User: \xff"), "not UTF-8"},
      {"[\"a\"]\n[\"b\"", "line 2: "},
      {"[\"a\"]\n{]", "line 2: "},
      {"[1]", "neither a string"},
      {"{\"x\":[]}", "an object with one as its"},
      {"{\"messages\":3}", "an object with one as its"},
      {R"([{"role":"wizard","content":"a"}])", "the role 'wizard'"},
      {R"([{"role":"user","content":[1]}])", "\"content\" is no string"},
      {R"([{"role":7,"content":"a"}])", "neither a string"},
      {"[\"\xc3\x28\"]", "not UTF-8"},
      {std::string("[\"a\0\"]", 6), "NUL"},
      {std::string(100000, '['), "nested deeper"},
      {"[\"\\ud800\"]", "line 1"},
      {"[]", "no turn"},
  };
  for (const auto& [text, message] : cases) {
    const auto parsed = ParseConversations(text);
    ASSERT_FALSE(parsed.ok()) << text.substr(0, 40);
    EXPECT_THAT(parsed.error().message, HasSubstr(message)) << text.substr(0, 40);
  }
}

TEST(Conversations, KeepTheirLimits) {
  const ConversationLimits limits{
      .file_bytes = 200, .conversations = 2, .turns = 3, .turn_bytes = 10};
  const std::pair<std::string, const char*> cases[] = {
      {"[" + std::string(200, ' ') + "]", "longer than 200 bytes"},
      {"[\"a\"][\"b\"][\"c\"]", "more than 2 conversations"},
      {"User: a\n\nUser: b\n\nUser: c\n", "more than 2 conversations"},
      {R"(["a","b","c","d"])", "more than 3 turns"},
      {"User: 1\nAssistant: x\nUser: 2\nAssistant: x\nUser: 3\nAssistant: x\nUser: 4",
       "more than 3 turns"},
      {R"(["12345678901"])", "more than 10 bytes"},
      {"User: 123456\n123456", "more than 10 bytes"},
  };
  for (const auto& [text, message] : cases) {
    const auto parsed = ParseConversations(text, limits);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_THAT(parsed.error().message, HasSubstr(message));
  }
}

TEST(Conversations, OfAFileThatIsNotThereAreAnError) {
  const auto read = ReadConversations("/nowhere/at/all");
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().message, HasSubstr("cannot read /nowhere/at/all"));
}

}  // namespace
}  // namespace ssmd::bench
