// Every field of every request at, below and above its limits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "server/convert.h"
#include "tests/unit/server/expect_invalid.h"

namespace ssmd::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

RequestLimits SmallLimits() {
  RequestLimits limits;
  limits.prompt_bytes = 10;
  limits.prompt_tokens = 4;
  limits.score_tokens = 5;
  limits.max_tokens = 100;
  limits.choices = 3;
  limits.messages = 2;
  limits.stop_strings = 2;
  limits.stop_string_bytes = 4;
  limits.stop_tokens = 2;
  limits.logit_bias = 2;
  limits.name_bytes = 8;
  return limits;
}

v1::GenerateRequest Valid() {
  v1::GenerateRequest request;
  request.set_text("x");
  return request;
}

void ExpectAccepted(const absl::Status& status, const std::string& what) {
  EXPECT_TRUE(status.ok()) << what << ": " << status;
}
TEST(Convert, AbsentFieldsAreTheDocumentedDefaults) {
  const auto request = FromProto(Valid(), RequestLimits());
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->sampling.temperature, 1);
  EXPECT_EQ(request->sampling.top_k, 0);
  EXPECT_EQ(request->sampling.top_p, 1);
  EXPECT_EQ(request->sampling.min_p, 0);
  EXPECT_EQ(request->sampling.penalties.repetition, 1);
  EXPECT_EQ(request->sampling.penalties.presence, 0);
  EXPECT_EQ(request->sampling.penalties.frequency, 0);
  EXPECT_EQ(request->sampling.penalties.window, 256);
  EXPECT_FALSE(request->sampling.seed.has_value());
  EXPECT_EQ(request->stop.history, StopHistory::kTrim);
  EXPECT_FALSE(request->stop.ignore_eos);
  EXPECT_EQ(request->max_tokens, 256);
  EXPECT_EQ(request->choices, 1);
  EXPECT_FALSE(request->echo);
  EXPECT_FALSE(request->top_logprobs.has_value());
  EXPECT_EQ(request->priority, Priority::kNormal);
  EXPECT_EQ(request->when_busy, WhenBusy::kAbort);
  EXPECT_EQ(request->commit, CommitMode::kOnComplete);
  EXPECT_EQ(request->durability, Durability::kProcess);
  EXPECT_EQ(request->key.request_id, "");
  EXPECT_FALSE(request->expected_revision.has_value());
  EXPECT_FALSE(request->parse_special);
}

TEST(Convert, TheDefaultOfMaxTokensBowsToALowerLimit) {
  EXPECT_EQ(FromProto(Valid(), SmallLimits())->max_tokens, 100);
}

TEST(Convert, EveryFieldArrives) {
  v1::GenerateRequest in;
  in.set_model("m");
  in.set_session_id("s");
  in.set_expected_revision(0);
  in.mutable_token_ids()->add_ids(3);
  in.set_parse_special(true);
  v1::SamplingParams& sampling = *in.mutable_sampling();
  sampling.set_temperature(0);
  sampling.set_top_k(7);
  sampling.set_top_p(0.5F);
  sampling.set_min_p(0.25F);
  sampling.set_repetition_penalty(1.5F);
  sampling.set_presence_penalty(-1);
  sampling.set_frequency_penalty(2);
  sampling.set_penalty_window(0);
  (*sampling.mutable_logit_bias())[9] = -100;
  (*sampling.mutable_logit_bias())[2] = 100;
  sampling.set_seed(0);
  in.mutable_stop()->add_strings("end");
  in.mutable_stop()->add_token_ids(5);
  in.mutable_stop()->set_ignore_eos(true);
  in.mutable_stop()->set_history(v1::StopParams::HISTORY_KEEP);
  in.set_max_tokens(0);
  in.set_n(2);
  in.set_echo(true);
  in.set_logprobs(0);
  in.set_priority(-100);

  const auto out = FromProto(in, RequestLimits());
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->model, "m");
  EXPECT_EQ(out->session_id, "s");
  EXPECT_EQ(out->expected_revision, 0U);
  EXPECT_THAT(std::get<std::vector<int32_t>>(out->prompt), ElementsAre(3));
  EXPECT_TRUE(out->parse_special);
  EXPECT_EQ(out->sampling.temperature, 0);
  EXPECT_EQ(out->sampling.top_k, 7);
  EXPECT_EQ(out->sampling.top_p, 0.5F);
  EXPECT_EQ(out->sampling.min_p, 0.25F);
  EXPECT_EQ(out->sampling.penalties.repetition, 1.5F);
  EXPECT_EQ(out->sampling.penalties.presence, -1);
  EXPECT_EQ(out->sampling.penalties.frequency, 2);
  EXPECT_EQ(out->sampling.penalties.window, 0);
  EXPECT_THAT(out->sampling.penalties.logit_bias, ElementsAre(Pair(2, 100), Pair(9, -100)));
  EXPECT_EQ(out->sampling.seed, 0U);
  EXPECT_THAT(out->stop.strings, ElementsAre("end"));
  EXPECT_THAT(out->stop.token_ids, ElementsAre(5));
  EXPECT_TRUE(out->stop.ignore_eos);
  EXPECT_EQ(out->stop.history, StopHistory::kKeep);
  EXPECT_EQ(out->max_tokens, 0);
  EXPECT_EQ(out->choices, 2);
  EXPECT_TRUE(out->echo);
  EXPECT_EQ(out->top_logprobs, 0);
  EXPECT_EQ(out->priority, Priority::kLow);
}

TEST(Convert, MessagesBecomeAChat) {
  v1::GenerateRequest in;
  const std::pair<v1::ChatRole, const char*> roles[] = {{v1::CHAT_ROLE_SYSTEM, "system"},
                                                        {v1::CHAT_ROLE_USER, "user"},
                                                        {v1::CHAT_ROLE_ASSISTANT, "assistant"},
                                                        {v1::CHAT_ROLE_TOOL, "tool"},
                                                        {v1::CHAT_ROLE_DEVELOPER, "developer"}};
  for (const auto& [role, name] : roles) {
    v1::ChatMessage* message = in.mutable_messages()->add_messages();
    message->set_role(role);
    message->set_content("c");
  }
  in.mutable_messages()->add_messages()->set_role_name("narrator");
  const auto out = FromProto(in, RequestLimits());
  ASSERT_TRUE(out.ok());
  const auto& chat = std::get<ChatPrompt>(out->prompt);
  ASSERT_EQ(chat.messages.size(), 6U);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(chat.messages[i].role, roles[i].second);
    EXPECT_EQ(chat.messages[i].content, "c");
  }
  EXPECT_EQ(chat.messages[5].role, "narrator");
  EXPECT_TRUE(chat.add_generation_prompt);
  EXPECT_FALSE(chat.continue_final_message);
}

TEST(Convert, AChatTakesToolsCallsAndWhatItsTemplateWants) {
  v1::GenerateRequest in;
  v1::ChatMessages* chat = in.mutable_messages();
  chat->set_tools_json("[1]");
  chat->set_template_arguments_json("{}");
  chat->set_continue_final_message(true);
  v1::ChatMessage* message = chat->add_messages();
  message->set_role(v1::CHAT_ROLE_ASSISTANT);
  message->set_tool_calls_json("[2]");
  message->set_name("n");
  message->set_tool_call_id("i");
  message->set_reasoning_content("r");
  const auto out = FromProto(in, RequestLimits());
  ASSERT_TRUE(out.ok());
  const auto& prompt = std::get<ChatPrompt>(out->prompt);
  EXPECT_EQ(prompt.tools, "[1]");
  EXPECT_EQ(prompt.template_arguments, "{}");
  EXPECT_TRUE(prompt.continue_final_message);
  EXPECT_FALSE(prompt.add_generation_prompt);
  EXPECT_EQ(prompt.messages[0].tool_calls, "[2]");
  EXPECT_EQ(prompt.messages[0].name, "n");
  EXPECT_EQ(prompt.messages[0].tool_call_id, "i");
  EXPECT_EQ(prompt.messages[0].reasoning_content, "r");
  EXPECT_FALSE(prompt.messages[0].content.has_value());  // calls alone
}

TEST(Convert, AChatIsRefusedThatSaysTwoThingsOrTooMuch) {
  const auto refusal = [](const auto& change) {
    v1::GenerateRequest in;
    in.mutable_messages()->add_messages()->set_role(v1::CHAT_ROLE_USER);
    change(in.mutable_messages());
    RequestLimits limits;
    limits.prompt_bytes = 100;
    return std::string(FromProto(in, limits).status().message());
  };
  EXPECT_EQ(refusal([](auto*) {}), "");
  EXPECT_THAT(refusal([](auto* c) { c->mutable_messages(0)->set_role_name("x"); }),
              HasSubstr("messages[0] has both role and role_name"));
  EXPECT_THAT(refusal([](auto* c) {
                c->set_continue_final_message(true);
                c->set_add_generation_prompt(true);
              }),
              HasSubstr("add_generation_prompt does not go with"));
  EXPECT_THAT(refusal([](auto* c) { c->set_tools_json(std::string(101, ' ')); }),
              HasSubstr("--max-prompt-bytes"));
  EXPECT_THAT(refusal([](auto* c) {
                c->mutable_messages(0)->clear_role();
                c->mutable_messages(0)->set_role_name(std::string(65, 'x'));
              }),
              HasSubstr("role_name has 65 bytes"));
}

struct FloatCase {
  const char* words;
  std::function<void(v1::SamplingParams*, float)> set;
  std::vector<float> accepted;
  std::vector<float> refused;
};

TEST(Convert, FloatsKeepTheirRanges) {
  const float above_2 = std::nextafter(2.0F, 3.0F);
  const float above_1 = std::nextafter(1.0F, 2.0F);
  const float above_10 = std::nextafter(10.0F, 11.0F);
  const float tiny = std::numeric_limits<float>::denorm_min();
  const std::vector<FloatCase> kCases = {
      {"temperature must be in [0, 10]",
       [](auto* s, float v) { s->set_temperature(v); },
       {0, tiny, 10},
       {-tiny, above_10, -1}},
      {"top_p must be in (0, 1]",
       [](auto* s, float v) { s->set_top_p(v); },
       {tiny, 1},
       {0, -0.0F, above_1, -1}},
      {"min_p must be in [0, 1]",
       [](auto* s, float v) { s->set_min_p(v); },
       {0, 1},
       {-tiny, above_1}},
      {"repetition_penalty must be in (0, 10]",
       [](auto* s, float v) { s->set_repetition_penalty(v); },
       {tiny, 10},
       {0, -1, above_10}},
      {"presence_penalty must be in [-2, 2]",
       [](auto* s, float v) { s->set_presence_penalty(v); },
       {-2, 2},
       {-above_2, above_2}},
      {"frequency_penalty must be in [-2, 2]",
       [](auto* s, float v) { s->set_frequency_penalty(v); },
       {-2, 2},
       {-above_2, above_2}},
      {"logit_bias values must be in [-100, 100]",
       [](auto* s, float v) { (*s->mutable_logit_bias())[1] = v; },
       {-100, 0, 100},
       {-100.1F, 100.1F}},
  };
  for (const FloatCase& test : kCases) {
    const auto status_with = [&test](float value) {
      v1::GenerateRequest request = Valid();
      test.set(request.mutable_sampling(), value);
      return FromProto(request, RequestLimits()).status();
    };
    for (const float value : test.accepted) ExpectAccepted(status_with(value), test.words);
    for (const float value : test.refused) ExpectInvalid(status_with(value), test.words);
    for (const float value : {kNan, kInfinity, -kInfinity}) {
      ExpectInvalid(status_with(value), test.words);
    }
  }
}

struct IntCase {
  const char* words;
  std::function<void(v1::GenerateRequest*, int32_t)> set;
  std::vector<int32_t> accepted;
  std::vector<int32_t> refused;
};

TEST(Convert, IntegersKeepTheirRanges) {
  constexpr int32_t kMin = std::numeric_limits<int32_t>::min();
  constexpr int32_t kMax = std::numeric_limits<int32_t>::max();
  const std::vector<IntCase> kCases = {
      {"top_k must be at least 0",
       [](auto* r, int v) { r->mutable_sampling()->set_top_k(v); },
       {0, 1, kMax},
       {-1, kMin}},
      {"penalty_window must be in [0, 4096]",
       [](auto* r, int v) { r->mutable_sampling()->set_penalty_window(v); },
       {0, 4095, 4096},
       {-1, 4097, kMin, kMax}},
      {"max_tokens must be in [0, 100]",
       [](auto* r, int v) { r->set_max_tokens(v); },
       {0, 99, 100},
       {-1, 101, kMin, kMax}},
      {"n must be in [1, 3]", [](auto* r, int v) { r->set_n(v); }, {1, 2, 3}, {0, -1, 4, kMax}},
      {"logprobs must be in [0, 20]",
       [](auto* r, int v) { r->set_logprobs(v); },
       {0, 19, 20},
       {-1, 21, kMin}},
      {"priority must be in [-100, 100]",
       [](auto* r, int v) { r->set_priority(v); },
       {-100, 0, 100},
       {-101, 101}},
      {"token_ids must not be negative",
       [](auto* r, int v) { r->mutable_token_ids()->add_ids(v); },
       {0, kMax},
       {-1, kMin}},
      {"stop.token_ids must not be negative",
       [](auto* r, int v) { r->mutable_stop()->add_token_ids(v); },
       {0, kMax},
       {-1, kMin}},
      {"logit_bias keys must not be negative",
       [](auto* r, int v) { (*r->mutable_sampling()->mutable_logit_bias())[v] = 0; },
       {0, kMax},
       {-1, kMin}},
      {"stop.history must be",
       [](auto* r, int v) {
         r->mutable_stop()->set_history(static_cast<v1::StopParams::History>(v));
       },
       {0, 1, 2},
       {3, -1}},
      {"messages[0].role must be",
       [](auto* r, int v) {
         r->mutable_messages()->add_messages()->set_role(static_cast<v1::ChatRole>(v));
       },
       {1, 2, 3, 4, 5},
       {0, 6, -1}},
  };
  for (const IntCase& test : kCases) {
    const auto status_with = [&test](int32_t value) {
      v1::GenerateRequest request = Valid();
      test.set(&request, value);
      return FromProto(request, SmallLimits()).status();
    };
    for (const int32_t value : test.accepted) ExpectAccepted(status_with(value), test.words);
    for (const int32_t value : test.refused) ExpectInvalid(status_with(value), test.words);
  }
}

struct SizeCase {
  const char* words;
  std::function<absl::Status(int)> status_with;  // of a request with n of the thing
  int most;
};

absl::Status GenerateStatus(const std::function<void(v1::GenerateRequest*)>& set) {
  v1::GenerateRequest request = Valid();
  set(&request);
  return FromProto(request, SmallLimits()).status();
}

TEST(Convert, SizesKeepTheirLimits) {
  const auto text = [](int n) { return std::string(static_cast<size_t>(n), 'x'); };
  const auto limits = SmallLimits();
  const std::vector<SizeCase> kCases = {
      {"the prompt's text has",
       [&](int n) { return GenerateStatus([&](auto* r) { r->set_text(text(n)); }); }, 10},
      {"messages has 11 bytes",
       [&](int n) {
         return GenerateStatus([&](auto* r) {
           for (const int bytes : {5, n - 5}) {
             auto* message = r->mutable_messages()->add_messages();
             message->set_role(v1::CHAT_ROLE_USER);
             message->set_content(text(bytes));
           }
         });
       },
       10},
      {"--max-messages",
       [&](int n) {
         return GenerateStatus([&](auto* r) {
           for (int i = 0; i < n; ++i) {
             r->mutable_messages()->add_messages()->set_role(v1::CHAT_ROLE_USER);
           }
         });
       },
       2},
      {"--max-prompt-tokens",
       [&](int n) {
         return GenerateStatus([&](auto* r) {
           for (int i = 0; i < n; ++i) r->mutable_token_ids()->add_ids(1);
         });
       },
       4},
      {"--max-stop-strings",
       [&](int n) {
         return GenerateStatus([&](auto* r) {
           for (int i = 0; i < n; ++i) r->mutable_stop()->add_strings("s");
         });
       },
       2},
      {"--max-stop-string-bytes",
       [&](int n) {
         return GenerateStatus([&](auto* r) { r->mutable_stop()->add_strings(text(n)); });
       },
       4},
      {"--max-stop-tokens",
       [&](int n) {
         return GenerateStatus([&](auto* r) {
           for (int i = 0; i < n; ++i) r->mutable_stop()->add_token_ids(1);
         });
       },
       2},
      {"--max-logit-bias",
       [&](int n) {
         return GenerateStatus([&](auto* r) {
           for (int i = 0; i < n; ++i) (*r->mutable_sampling()->mutable_logit_bias())[i] = 1;
         });
       },
       2},
      {"model has 9 bytes",
       [&](int n) { return GenerateStatus([&](auto* r) { r->set_model(text(n)); }); }, 8},
      {"session_id has 9 bytes",
       [&](int n) { return GenerateStatus([&](auto* r) { r->set_session_id(text(n)); }); }, 8},
      {"--max-score-tokens",
       [&](int n) {
         v1::ScoreRequest request;
         for (int i = 0; i < n; ++i) request.mutable_token_ids()->add_ids(1);
         return FromProto(request, limits).status();
       },
       5},
      {"text has 6 bytes",
       [&](int n) {
         v1::ScoreRequest request;
         request.set_text(text(n));
         return FromProto(request, limits).status();
       },
       5},
      {"--max-prompt-tokens",
       [&](int n) {
         v1::EncodeRequest request;
         for (int i = 0; i < n; ++i) request.mutable_token_ids()->add_ids(1);
         return FromProto(request, limits).status();
       },
       4},
      {"--max-prompt-bytes",
       [&](int n) {
         v1::EncodeRequest request;
         request.set_text(text(n));
         return FromProto(request, limits).status();
       },
       10},
      {"model has 9 bytes",
       [&](int n) {
         v1::EncodeRequest request;
         request.set_text("a");
         request.set_model(text(n));
         return FromProto(request, limits).status();
       },
       8},
      {"text has 11 bytes",
       [&](int n) {
         v1::TokenizeRequest request;
         request.set_text(text(n));
         return Validate(request, limits);
       },
       10},
      {"token_ids has 5 entries",
       [&](int n) {
         v1::DetokenizeRequest request;
         for (int i = 0; i < n; ++i) request.add_token_ids(1);
         return Validate(request, limits);
       },
       4},
      {"model has",
       [&](int n) {
         v1::CreateSessionRequest request;
         request.set_model(text(n));
         return FromProto(request, limits).status();
       },
       8},
      {"session_id has",
       [&](int n) {
         v1::GetSessionRequest request;
         request.set_session_id(text(n));
         return Validate(request, limits);
       },
       8},
      {"session_id has",
       [&](int n) {
         v1::DeleteSessionRequest request;
         request.set_session_id(text(n));
         return Validate(request, limits);
       },
       8},
      {"page_token has",
       [&](int n) {
         v1::ListSessionsRequest request;
         request.set_page_token(text(n));
         return Validate(request, limits);
       },
       8},
      {"page_size must be in [0, 1000]",
       [&](int n) {
         v1::ListSessionsRequest request;
         request.set_page_size(n);
         return Validate(request, limits);
       },
       1000},
      {"name has",
       [&](int n) {
         v1::GetModelRequest request;
         request.set_name(text(n));
         return Validate(request, limits);
       },
       8},
      {"top_logprobs must be in [0, 20]",
       [&](int n) {
         v1::ScoreRequest request;
         request.set_text("ab");
         request.set_top_logprobs(n);
         return FromProto(request, limits).status();
       },
       20},
  };
  for (const SizeCase& test : kCases) {
    for (const int n : {test.most - 1, test.most}) {
      ExpectAccepted(test.status_with(n), test.words + std::string(" ") + std::to_string(n));
    }
    ExpectInvalid(test.status_with(test.most + 1), test.words);
  }
}

TEST(Convert, RefusesWhatIsMissing) {
  v1::GenerateRequest no_prompt;
  ExpectInvalid(FromProto(no_prompt, RequestLimits()).status(), "a prompt is needed");
  no_prompt.set_session_id("s");
  ExpectAccepted(FromProto(no_prompt, RequestLimits()).status(), "a session may go on unprompted");
  v1::GenerateRequest no_session = Valid();
  no_session.set_expected_revision(1);
  ExpectInvalid(FromProto(no_session, RequestLimits()).status(), "needs a session_id");
  v1::GenerateRequest no_messages;
  no_messages.mutable_messages();
  ExpectInvalid(FromProto(no_messages, RequestLimits()).status(), "at least one message");
  v1::GenerateRequest empty_stop = Valid();
  empty_stop.mutable_stop()->add_strings("");
  ExpectInvalid(FromProto(empty_stop, RequestLimits()).status(), "empty string");
  ExpectInvalid(FromProto(v1::ScoreRequest(), RequestLimits()).status(), "a prompt is needed");
  v1::ScoreRequest one;
  one.mutable_token_ids()->add_ids(1);
  ExpectInvalid(FromProto(one, RequestLimits()).status(), "at least 2 tokens, got 1");
  one.mutable_token_ids()->add_ids(-1);
  ExpectInvalid(FromProto(one, RequestLimits()).status(), "must not be negative, got -1");
  v1::DetokenizeRequest negative;
  negative.add_token_ids(-5);
  ExpectInvalid(Validate(negative, RequestLimits()), "must not be negative, got -5");
  ExpectInvalid(Validate(v1::GetSessionRequest(), RequestLimits()), "session_id must be given");
  ExpectInvalid(Validate(v1::DeleteSessionRequest(), RequestLimits()), "session_id must be given");
  ExpectInvalid(Validate(v1::GetModelRequest(), RequestLimits()), "name must be given");
  v1::ListSessionsRequest list;
  list.set_page_size(-1);
  ExpectInvalid(Validate(list, RequestLimits()), "page_size must be in [0, 1000], got -1");
}

TEST(Convert, EncodeRequestsAreTakenAsTheyAre) {
  v1::EncodeRequest request;
  request.set_model("m");
  request.mutable_token_ids()->add_ids(7);
  const auto plain = FromProto(request, RequestLimits());
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(plain->model, "m");
  EXPECT_EQ(std::get<std::vector<int32_t>>(plain->prompt), std::vector<int32_t>{7});
  EXPECT_EQ(plain->pooling, Pooling::kMean);
  EXPECT_FALSE(plain->normalize);
  EXPECT_FALSE(plain->parse_special);
  request.set_text("abc");
  request.set_parse_special(true);
  request.set_normalize(true);
  for (const auto& [wire, ours] :
       {std::pair(v1::POOLING_MEAN, Pooling::kMean), std::pair(v1::POOLING_LAST, Pooling::kLast),
        std::pair(v1::POOLING_MAX, Pooling::kMax)}) {
    request.set_pooling(wire);
    const auto full = FromProto(request, RequestLimits());
    ASSERT_TRUE(full.ok()) << full.status();
    EXPECT_EQ(std::get<std::string>(full->prompt), "abc");
    EXPECT_EQ(full->pooling, ours);
    EXPECT_TRUE(full->normalize);
    EXPECT_TRUE(full->parse_special);
  }
}

TEST(Convert, RefusesEncodeRequestsThatSayNothing) {
  ExpectInvalid(FromProto(v1::EncodeRequest(), RequestLimits()).status(), "a prompt is needed");
  v1::EncodeRequest request;
  request.mutable_token_ids()->add_ids(-1);
  ExpectInvalid(FromProto(request, RequestLimits()).status(), "must not be negative, got -1");
  request.set_text("abc");
  request.set_pooling(static_cast<v1::Pooling>(9));
  ExpectInvalid(FromProto(request, RequestLimits()).status(), "POOLING_MAX, got 9");
}

TEST(Convert, ErrorsSayWhatCame) {
  v1::GenerateRequest request = Valid();
  request.mutable_sampling()->set_temperature(-1);
  EXPECT_EQ(FromProto(request, RequestLimits()).status().message(),
            "temperature must be in [0, 10], got -1");
  request.mutable_sampling()->set_temperature(kNan);
  EXPECT_EQ(FromProto(request, RequestLimits()).status().message(),
            "temperature must be in [0, 10], got nan");
}

}  // namespace
}  // namespace ssmd::server
