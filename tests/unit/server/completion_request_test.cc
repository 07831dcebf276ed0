// OpenAI's requests as the wire's own: every member, and every refusal.
#include "server/http/api/completion_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/errors.h"
#include "server/http/api/api_error.h"
#include "server/http/api/json_in.h"
#include "server/telemetry/trace_context.h"

namespace ssmd::server {
namespace {

using ::testing::HasSubstr;

using Parser = absl::StatusOr<CompletionRequest> (*)(JsonValue);

absl::StatusOr<CompletionRequest> Parse(Parser parser, const std::string& json) {
  auto body = ParseBody(json);
  if (!body.ok()) return body.status();
  return parser(body->root());
}

TEST(CompletionRequest, ChatsBecomeMessages) {
  const auto parsed = Parse(&ParseChatCompletion, R"({
    "model": "m", "messages": [
      {"role": "system", "content": "Be brief."},
      {"role": "user", "name": "ann", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
      {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function",
        "function": {"name": "f", "arguments": "{}"}}]},
      {"role": "tool", "tool_call_id": "c1", "content": "4"},
      {"role": "narrator", "content": "x"}],
    "max_tokens": 1, "max_completion_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 5,
    "min_p": 0.1, "seed": -1, "presence_penalty": 1, "frequency_penalty": -1,
    "repetition_penalty": 1.1, "logit_bias": {"3": -100}, "stop": ["a", "b"], "n": 2,
    "logprobs": true, "top_logprobs": 3, "user": "u", "metadata": {"a": "b"},
    "stream": true, "stream_options": {"include_usage": true}, "store": true,
    "stop_token_ids": [1, 2], "ignore_eos": true, "tools": [], "response_format": {"type": "text"},
    "chat_template_kwargs": {"enable_thinking": false}, "continue_final_message": true,
    "ssmd": {"idle_seconds": 60, "priority": 1, "durability": "power", "penalty_window": 9,
             "stop_history": "keep"}})");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_TRUE(parsed->stream && parsed->include_usage && parsed->keep);
  EXPECT_EQ(parsed->lifetime.idle_seconds(), 60);
  const v1::GenerateRequest& turn = parsed->turn;
  EXPECT_EQ(turn.model(), "m");
  ASSERT_EQ(turn.messages().messages_size(), 5);
  EXPECT_EQ(turn.messages().messages(0).role(), v1::CHAT_ROLE_SYSTEM);
  EXPECT_EQ(turn.messages().messages(1).content(), "ab");
  EXPECT_EQ(turn.messages().messages(1).name(), "ann");
  EXPECT_EQ(turn.messages().messages(2).tool_calls_json(),
            R"([{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}])");
  EXPECT_EQ(turn.messages().messages(3).tool_call_id(), "c1");
  EXPECT_EQ(turn.messages().messages(4).role_name(), "narrator");
  EXPECT_EQ(turn.messages().template_arguments_json(), R"({"enable_thinking":false})");
  EXPECT_TRUE(turn.messages().continue_final_message());
  EXPECT_EQ(turn.max_tokens(), 7);
  EXPECT_EQ(turn.sampling().temperature(), 0.5F);
  EXPECT_EQ(turn.sampling().top_k(), 5);
  EXPECT_EQ(turn.sampling().seed(), static_cast<uint64_t>(-1));
  EXPECT_EQ(turn.sampling().logit_bias().at(3), -100);
  EXPECT_EQ(turn.sampling().penalty_window(), 9);
  EXPECT_THAT(turn.stop().strings(), ::testing::ElementsAre("a", "b"));
  EXPECT_THAT(turn.stop().token_ids(), ::testing::ElementsAre(1, 2));
  EXPECT_TRUE(turn.stop().ignore_eos());
  EXPECT_EQ(turn.stop().history(), v1::StopParams::HISTORY_KEEP);
  EXPECT_EQ(turn.n(), 2);
  EXPECT_EQ(turn.logprobs(), 3);
  EXPECT_EQ(turn.priority(), 1);
  EXPECT_EQ(turn.durability(), v1::DURABILITY_POWER);
}

TEST(CompletionRequest, WhatIsAbsentOrNullIsThePreset) {
  const auto chat = Parse(&ParseChatCompletion,
                          R"({"messages": [], "temperature": null, "stop": null, "ssmd": null})");
  ASSERT_TRUE(chat.ok()) << chat.status();
  EXPECT_FALSE(chat->turn.sampling().has_temperature() || chat->turn.has_max_tokens());
  EXPECT_FALSE(chat->stream || chat->keep || chat->turn.has_logprobs());
  EXPECT_TRUE(chat->turn.sampling().has_seed()) << "one that a JSON number holds";
  EXPECT_LT(chat->turn.sampling().seed(), uint64_t{1} << 53);
  const auto completion = Parse(&ParseCompletion, R"({"prompt": "a"})");
  ASSERT_TRUE(completion.ok());
  EXPECT_EQ(completion->turn.max_tokens(), 16) << "OpenAI's";
  const auto response = Parse(&ParseResponse, R"({"input": "a"})");
  ASSERT_TRUE(response.ok());
  EXPECT_TRUE(response->keep) << "OpenAI's";
  EXPECT_EQ(response->turn.messages().messages(0).role(), v1::CHAT_ROLE_USER);
}

TEST(CompletionRequest, IntegersMayBeWrittenWithAPoint) {
  const auto parsed =
      Parse(&ParseCompletion, R"({"prompt": "a", "max_tokens": 5.0, "seed": -3e1})");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->turn.max_tokens(), 5);
  EXPECT_EQ(parsed->turn.sampling().seed(), static_cast<uint64_t>(-30));
  for (const char* wrong : {"5.5", "1e300", "\"5\""}) {
    EXPECT_FALSE(
        Parse(&ParseCompletion, R"({"prompt": "a", "max_tokens": )" + std::string(wrong) + "}")
            .ok())
        << wrong;
  }
}

TEST(CompletionRequest, WhatFollowsAParentIsKeptUnlessThatIsSaid) {
  const auto parse = [](Parser parser, const std::string& more) {
    return Parse(parser, R"({"ssmd": {"parent_id": "a"})" + more + "}");
  };
  for (const Parser parser : {&ParseChatCompletion, &ParseResponse}) {
    EXPECT_TRUE(parse(parser, "")->keep);
    EXPECT_FALSE(parse(parser, "")->forget);
    EXPECT_FALSE(parse(parser, R"(, "store": true)")->forget);
    EXPECT_TRUE(parse(parser, R"(, "store": false)")->forget);
    EXPECT_FALSE(Parse(parser, R"({"store": false})")->forget);
    EXPECT_FALSE(Parse(parser, R"({"store": false})")->keep);
  }
}

TEST(CompletionRequest, PromptsAreOneTextOrOneListOfIds) {
  const auto prompt = [](const std::string& json) {
    const auto parsed = Parse(&ParseCompletion, R"({"prompt": )" + json + "}");
    if (!parsed.ok()) return std::string(parsed.status().message());
    return parsed->turn.has_token_ids() ? parsed->turn.token_ids().ShortDebugString()
                                        : parsed->turn.text();
  };
  EXPECT_EQ(prompt(R"("text")"), "text");
  EXPECT_EQ(prompt(R"(["text"])"), "text");
  EXPECT_EQ(prompt("[1, 2]"), "ids: 1 ids: 2");
  EXPECT_EQ(prompt("[[1, 2]]"), "ids: 1 ids: 2");
  EXPECT_THAT(prompt(R"(["a", "b"])"), HasSubstr("prompt must be one prompt"));
  for (const char* wrong : {"1", "{}", "[1.5]", "[1, \"a\"]", "[4294967296]", "[[[1]]]"}) {
    EXPECT_THAT(prompt(wrong), HasSubstr("prompt must be a string or an array of token ids"))
        << wrong;
  }
}

TEST(CompletionRequest, RefusalsNameTheMember) {
  const struct {
    Parser parser;
    const char* json;
    const char* message;
    const char* param;
  } kCases[] = {
      {&ParseChatCompletion, "[]", "the request's body must be an object", nullptr},
      {&ParseChatCompletion, "{", "the request's body", nullptr},
      {&ParseChatCompletion, R"({"a": 1, "a": 2})", "duplicate key", nullptr},
      {&ParseChatCompletion, R"({"foo": 1})", "foo is not a parameter of this request", "foo"},
      {&ParseChatCompletion, R"({"temperature": "hot"})",
       "temperature must be a number, got \"hot\"", "temperature"},
      {&ParseChatCompletion, R"({"n": 1.5})", "n must be an integer in [", "n"},
      {&ParseChatCompletion, R"({"stream": 1})", "stream must be true or false, got 1", "stream"},
      {&ParseChatCompletion, R"({"stop": 1})", "stop must be a string or an array of strings",
       "stop"},
      {&ParseChatCompletion, R"({"stop": ["a", 1]})", "stop must be a string or an array", "stop"},
      {&ParseChatCompletion, R"({"logit_bias": {"a": 1}})", "logit_bias must be an object of",
       "logit_bias"},
      {&ParseChatCompletion, R"({"messages": {}})", "messages must be an array of messages",
       "messages"},
      {&ParseChatCompletion, R"({"messages": [{"content": "a"}]})",
       "messages[0].role must be given", "messages[0].role"},
      {&ParseChatCompletion,
       R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})",
       "messages[0].content must be a string or an array of parts of type \"text\"",
       "messages[0].content"},
      {&ParseChatCompletion, R"({"messages": [{"role": "user", "colour": 1}]})",
       "messages[0].colour is not a parameter", "messages[0].colour"},
      {&ParseChatCompletion, R"({"top_logprobs": 2})", "top_logprobs needs \"logprobs\": true",
       "top_logprobs"},
      {&ParseChatCompletion, R"({"tools": [{}]})", "tools is not supported by this server",
       "tools"},
      {&ParseChatCompletion, R"({"response_format": {"type": "json_object"}})",
       "response_format is not supported", "response_format"},
      {&ParseChatCompletion, R"({"stream_options": {}})", "stream_options is for requests with",
       "stream_options"},
      {&ParseChatCompletion, R"({"ssmd": {"commit": "maybe"}})",
       R"(ssmd.commit must be "complete" or "partial", got "maybe")", "ssmd.commit"},
      {&ParseChatCompletion, R"({"ssmd": {"what": 1}})", "ssmd.what is not a parameter",
       "ssmd.what"},
      {&ParseChatCompletion, R"({"ssmd": {"session_id": "a"}, "store": true})",
       "store makes a new session", "store"},
      {&ParseChatCompletion, R"({"ssmd": {"session_id": "a", "parent_id": "b"}})",
       "ssmd.parent_id and ssmd.session_id exclude each other", "ssmd.parent_id"},
      {&ParseChatCompletion, R"({"ssmd": {"idle_seconds": 1}})", "are for requests with store",
       "ssmd.ttl_seconds"},
      {&ParseChatCompletion, R"({"ssmd": {"request_id": "a"}, "store": true})",
       "need an ssmd.session_id", "ssmd.expected_revision"},
      {&ParseCompletion, R"({"suffix": "a"})", "suffix is not supported", "suffix"},
      {&ParseCompletion, R"({"best_of": 2})", "best_of is not supported", "best_of"},
      {&ParseResponse, R"({"instructions": "a", "previous_response_id": "b"})",
       "instructions are for the first request", "instructions"},
      {&ParseResponse, R"({"text": {"format": {"type": "json_schema"}}})",
       "text.format is not supported", "text.format"},
      {&ParseResponse, R"({"conversation": "c"})", "conversation is not supported", "conversation"},
  };
  for (const auto& test : kCases) {
    const auto parsed = Parse(test.parser, test.json);
    ASSERT_FALSE(parsed.ok()) << test.json;
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(test.message)) << test.json;
    const std::string param =
        test.param == nullptr ? "null" : "\"" + std::string(test.param) + "\"";
    EXPECT_THAT(ErrorJson(parsed.status()), HasSubstr("\"param\":" + param)) << test.json;
  }
}

TEST(CompletionRequest, ErrorsOfTheWireAreToldInTheWordsOfTheRequest) {
  const struct {
    Parser parser;
    const char* json;
    const char* wire;
    const char* here;
  } kCases[] = {
      {&ParseCompletion, R"({"prompt": "a"})", "token_ids must not be negative, got -1",
       "prompt must not be negative, got -1"},
      {&ParseCompletion, R"({"prompt": "a"})", "the prompt must not be empty",
       "prompt must not be empty"},
      {&ParseCompletion, R"({"prompt": "a"})", "stop.token_ids has 9", "stop_token_ids has 9"},
      {&ParseCompletion, R"({"prompt": "a"})", "max_tokens must be", "max_tokens must be"},
      {&ParseChatCompletion, R"({"max_tokens": 1})", "max_tokens must be", "max_tokens must be"},
      {&ParseChatCompletion, R"({"max_completion_tokens": 1})", "max_tokens must be",
       "max_completion_tokens must be"},
      {&ParseChatCompletion, "{}", "logprobs must be", "top_logprobs must be"},
      {&ParseResponse, "{}", "max_tokens must be", "max_output_tokens must be"},
      {&ParseResponse, "{}", "messages[1].content has", "input[1].content has"},
      {&ParseResponse, "{}", "messages_of must be", "messages_of must be"},
  };
  for (const auto& test : kCases) {
    const auto parsed = Parse(test.parser, test.json);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(std::string(Reworded(InvalidField(test.wire), *parsed).message()), test.here);
  }
  EXPECT_THAT(std::string(Parse(&ParseCompletion, "{}").status().message()),
              HasSubstr("prompt must be a string or an array of token ids"));
}

TEST(CompletionRequest, AnswersThatWereStoredAreNamedByTheirIds) {
  const std::string session = "0123456789abcdef0123456789abcdef";
  for (const char* prefix : {"chatcmpl-", "cmpl-", "resp_", ""}) {
    const auto parent = ParseAnswerId(AnswerId(prefix, session, 12));
    if (*prefix == '\0') {
      EXPECT_FALSE(parent.ok());
      continue;
    }
    ASSERT_TRUE(parent.ok()) << prefix;
    EXPECT_EQ(parent->session_id, session);
    EXPECT_EQ(parent->revision, 12U);
  }
  for (const std::string& wrong :
       {std::string(), std::string("-"), std::string("--"), "chatcmpl-" + session,
        "chatcmpl-" + session + "-", "chatcmpl-" + session + "-x", "chatcmpl-" + session + "--1",
        "chatcmpl-" + session.substr(1) + "-1", std::string("chatcmpl-1"),
        "chatcmpl-" + session + "-99999999999999999999999"}) {
    EXPECT_EQ(ParseAnswerId(wrong).status().code(), absl::StatusCode::kNotFound) << wrong;
  }
}

TEST(TraceContext, GoesOnWithAWellFormedOneAlone) {
  const std::string trace = "0af7651916cd43dd8448eb211c80319c";
  const std::string parent = "b7ad6b7169203331";
  const auto went_on = ContinueTrace("00-" + trace + "-" + parent + "-01");
  ASSERT_TRUE(went_on.has_value());
  EXPECT_EQ(went_on->trace_id, trace);
  EXPECT_NE(went_on->span_id, parent);
  EXPECT_THAT(went_on->ToHeader(), ::testing::MatchesRegex("00-" + trace + "-[0-9a-f]{16}-01"));
  EXPECT_TRUE(ContinueTrace("cc-" + trace + "-" + parent + "-01-what-comes").has_value());
  for (const std::string& wrong :
       {std::string(), std::string(55, '0'), "00-" + trace + "-" + parent + "-0",
        "00-" + trace + "-" + parent + "-01-more", "ff-" + trace + "-" + parent + "-01",
        "00-" + std::string(32, '0') + "-" + parent + "-01",
        "00-" + trace + "-" + std::string(16, '0') + "-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" + parent + "-01",
        "00_" + trace + "-" + parent + "-01", "00-" + trace + "-" + parent + "-0g"}) {
    EXPECT_FALSE(ContinueTrace(wrong).has_value()) << wrong;
  }
}

}  // namespace
}  // namespace ssmd::server
