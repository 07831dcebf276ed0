#include "clients/bench/openai_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clients/bench/json_reader.h"

namespace ssmd::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> ValuesOf(const std::string& text, std::string* error) {
  JsonStream stream(text, {.bytes = 1000, .depth = 3});
  rapidjson::Document value;
  std::vector<std::string> kinds;
  while (stream.Next(&value)) {
    kinds.emplace_back(value.IsArray()    ? "array"
                       : value.IsObject() ? "object"
                       : value.IsNumber() ? "number"
                                          : "other");
  }
  *error = stream.error();
  return kinds;
}

TEST(JsonStream, ReadsOneValueAfterTheOther) {
  std::string error;
  EXPECT_THAT(ValuesOf(" [1]\n{\"a\":[[]]}\n 7 -1.5e3 null ", &error),
              ElementsAre("array", "object", "number", "number", "other"));
  EXPECT_EQ(error, "");
}

TEST(JsonStream, RefusesWhatIsNotJsonOrTooMuch) {
  const std::pair<std::string, const char*> cases[] = {
      {"[[[[]]]]", "line 1: nested deeper than 3"},
      {"[1]\n\n[1,]", "line 3: "},
      {"{\"a\":1e999}", "line 1: "},
      {"\"\\udc00\"", "a number or a character"},
      {"[\"\xe2\x82", "not UTF-8"},
      {"[0." + std::string(2000, '1') + "]", "longer than 1000"},
      {std::string("[\0]", 3), "NUL"},
      {"[1", "line 1: "},
  };
  for (const auto& [text, message] : cases) {
    std::string error;
    ValuesOf(text, &error);
    EXPECT_THAT(error, HasSubstr(message)) << text.substr(0, 20);
  }
}

TEST(JsonReader, ADocumentIsOneValue) {
  rapidjson::Document document;
  std::string error;
  EXPECT_TRUE(ParseJson(" {\"a\": 1} ", {}, &document, &error));
  EXPECT_EQ(IntOf(Member(&document, "a")), 1);
  EXPECT_EQ(Member(&document, "b"), nullptr);
  EXPECT_FALSE(ParseJson("{} {}", {}, &document, &error));
  EXPECT_FALSE(ParseJson("", {}, &document, &error));
  EXPECT_EQ(error, "empty");
}

TEST(OpenAiWire, WritesWhatIsAsked) {
  AskOptions ask;
  ask.model = "m";
  ask.ignore_eos = false;
  ask.temperature = 0.5F;
  PlannedTurn turn;
  turn.token_ids = {1, 2};
  turn.max_tokens = 9;
  turn.seed = 3;
  EXPECT_EQ(
      OpenAiRequest(ask, turn, "unused", {}, {}),
      R"({"model":"m","prompt":[1,2],"max_tokens":9,"temperature":0.5,"seed":3,"stream":true,)"
      R"("stream_options":{"include_usage":true}})");
}

TEST(OpenAiWire, ReadsChunksOfEitherKind) {
  const auto text = ParseOpenAiChunk(
      R"({"id":"x","choices":[{"text":"a","finish_reason":"stop"}],"ssmd":{"session_id":"0f"}})");
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text.value().text, "a");
  EXPECT_TRUE(text.value().finished);
  EXPECT_EQ(text.value().id, "x");
  EXPECT_EQ(text.value().session_id, "0f");
  const auto chat = ParseOpenAiChunk(
      R"({"choices":[{"delta":{"reasoning_content":"b","content":null},"finish_reason":null}]})");
  ASSERT_TRUE(chat.ok());
  EXPECT_EQ(chat.value().text, "b");
  EXPECT_FALSE(chat.value().finished);
  const auto usage =
      ParseOpenAiChunk(R"({"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7}})");
  ASSERT_TRUE(usage.ok());
  EXPECT_EQ(usage.value().prompt_tokens, 5);
  EXPECT_EQ(usage.value().completion_tokens, 7);
}

TEST(OpenAiWire, ReadsErrors) {
  EXPECT_EQ(ParseOpenAiChunk(R"({"error":{"message":"m","type":"overloaded"}})").value().error,
            "overloaded");
  EXPECT_EQ(ParseOpenAiChunk(R"({"error":"m"})").value().error_message, "m");
  EXPECT_EQ(OpenAiErrorMessage(R"({"error":{"message":"m"}})"), "m");
  EXPECT_EQ(OpenAiErrorMessage("plain \xff"), "plain \xEF\xBF\xBD");
}

TEST(OpenAiWire, RefusesIdsThatAreNotFitForAPath) {
  for (const char* id : {"../a", "a b", "a\\u000a", "\xc3\xa9"}) {
    EXPECT_FALSE(
        ParseOpenAiChunk(R"({"choices":[],"ssmd":{"session_id":")" + std::string(id) + "\"}}").ok())
        << id;
  }
}

TEST(OpenAiWire, ReadsListsOfModels) {
  const auto models =
      ParseOpenAiModels(R"({"data":[{"id":"a","owned_by":"ssmd"},{"id":"b","owned_by":"you"}]})");
  ASSERT_TRUE(models.ok());
  EXPECT_THAT(models.value().names, ElementsAre("a", "b"));
  EXPECT_TRUE(models.value().ssmd);
  for (const char* text : {"", "[]", "{}", R"({"data":[{}]})", R"({"data":{}})"}) {
    EXPECT_FALSE(ParseOpenAiModels(text).ok()) << text;
  }
}

}  // namespace
}  // namespace ssmd::bench
