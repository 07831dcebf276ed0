// A table of requests that must be refused, sent over the wire: each with the code, and with words
// that name what is wrong. After each the daemon serves on.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tests/support/daemon.h"
#include "tests/support/turn.h"

namespace ssmd::test {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kVocabulary = 2048;  // of the bundled model

struct BadGenerate {
  const char* name;
  std::function<void(v1::GenerateRequest&)> change;
  StatusCode code;
  const char* message;  // part of it
};

v1::SamplingParams& Sampling(v1::GenerateRequest& r) { return *r.mutable_sampling(); }
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<BadGenerate> BadSampling() {
  const StatusCode code = StatusCode::INVALID_ARGUMENT;
  return {
      {"temperature below", [](auto& r) { Sampling(r).set_temperature(-0.01f); }, code,
       "temperature"},
      {"temperature above", [](auto& r) { Sampling(r).set_temperature(10.01f); }, code,
       "temperature"},
      {"temperature nan", [](auto& r) { Sampling(r).set_temperature(kNan); }, code, "temperature"},
      {"temperature inf", [](auto& r) { Sampling(r).set_temperature(kInf); }, code, "temperature"},
      {"top_k below", [](auto& r) { Sampling(r).set_top_k(-1); }, code, "top_k"},
      {"top_k above", [](auto& r) { Sampling(r).set_top_k(kVocabulary + 1); }, code, "top_k"},
      {"top_p zero", [](auto& r) { Sampling(r).set_top_p(0); }, code, "top_p"},
      {"top_p above", [](auto& r) { Sampling(r).set_top_p(1.001f); }, code, "top_p"},
      {"top_p nan", [](auto& r) { Sampling(r).set_top_p(kNan); }, code, "top_p"},
      {"min_p below", [](auto& r) { Sampling(r).set_min_p(-0.1f); }, code, "min_p"},
      {"min_p above", [](auto& r) { Sampling(r).set_min_p(1.1f); }, code, "min_p"},
      {"repetition zero", [](auto& r) { Sampling(r).set_repetition_penalty(0); }, code,
       "repetition_penalty"},
      {"repetition above", [](auto& r) { Sampling(r).set_repetition_penalty(10.1f); }, code,
       "repetition_penalty"},
      {"presence below", [](auto& r) { Sampling(r).set_presence_penalty(-2.1f); }, code,
       "presence_penalty"},
      {"presence above", [](auto& r) { Sampling(r).set_presence_penalty(2.1f); }, code,
       "presence_penalty"},
      {"frequency below", [](auto& r) { Sampling(r).set_frequency_penalty(-2.1f); }, code,
       "frequency_penalty"},
      {"frequency above", [](auto& r) { Sampling(r).set_frequency_penalty(2.1f); }, code,
       "frequency_penalty"},
      {"window below", [](auto& r) { Sampling(r).set_penalty_window(-1); }, code, "penalty_window"},
      {"window above", [](auto& r) { Sampling(r).set_penalty_window(4097); }, code,
       "penalty_window"},
      {"bias value", [](auto& r) { (*Sampling(r).mutable_logit_bias())[1] = 100.5f; }, code,
       "logit_bias"},
      {"bias nan", [](auto& r) { (*Sampling(r).mutable_logit_bias())[1] = kNan; }, code,
       "logit_bias"},
      {"bias negative id", [](auto& r) { (*Sampling(r).mutable_logit_bias())[-1] = 1; }, code,
       "logit_bias"},
      {"bias unknown id", [](auto& r) { (*Sampling(r).mutable_logit_bias())[kVocabulary] = 1; },
       code, "logit_bias"},
      {"bias entries",
       [](auto& r) {
         for (int i = 0; i < 1025; ++i) (*Sampling(r).mutable_logit_bias())[i] = 1;
       },
       code, "logit_bias"},
  };
}

std::vector<BadGenerate> BadStops() {
  const StatusCode code = StatusCode::INVALID_ARGUMENT;
  return {
      {"stop strings",
       [](auto& r) {
         for (int i = 0; i < 17; ++i) r.mutable_stop()->add_strings("x");
       },
       code, "stop.strings"},
      {"stop string empty", [](auto& r) { r.mutable_stop()->add_strings(""); }, code,
       "stop.strings"},
      {"stop string long", [](auto& r) { r.mutable_stop()->add_strings(std::string(257, 'x')); },
       code, "stop.strings"},
      {"stop tokens",
       [](auto& r) {
         for (int i = 0; i < 65; ++i) r.mutable_stop()->add_token_ids(i);
       },
       code, "stop.token_ids"},
      {"stop token negative", [](auto& r) { r.mutable_stop()->add_token_ids(-1); }, code,
       "stop.token_ids"},
      {"stop token unknown", [](auto& r) { r.mutable_stop()->add_token_ids(kVocabulary); }, code,
       "stop"},
      {"stop history",
       [](auto& r) { r.mutable_stop()->set_history(static_cast<v1::StopParams::History>(99)); },
       code, "stop.history"},
  };
}

std::vector<BadGenerate> BadShapes() {
  const StatusCode code = StatusCode::INVALID_ARGUMENT;
  return {
      {"max_tokens below", [](auto& r) { r.set_max_tokens(-1); }, code, "max_tokens"},
      {"max_tokens above", [](auto& r) { r.set_max_tokens(65537); }, code, "max_tokens"},
      {"n zero", [](auto& r) { r.set_n(0); }, code, "n must be"},
      {"n above", [](auto& r) { r.set_n(17); }, code, "n must be"},
      {"logprobs below", [](auto& r) { r.set_logprobs(-1); }, code, "logprobs"},
      {"logprobs above", [](auto& r) { r.set_logprobs(21); }, code, "logprobs"},
      {"priority below", [](auto& r) { r.set_priority(-101); }, code, "priority"},
      {"priority above", [](auto& r) { r.set_priority(101); }, code, "priority"},
      {"revision without session", [](auto& r) { r.set_expected_revision(0); }, code,
       "expected_revision"},
      {"unknown model", [](auto& r) { r.set_model("nobody"); }, StatusCode::NOT_FOUND, "no model"},
      {"long model", [](auto& r) { r.set_model(std::string(1000, 'm')); }, code, "model"},
      {"unknown session", [](auto& r) { r.set_session_id(std::string(32, 'a')); },
       StatusCode::NOT_FOUND, "session"},
      {"odd session", [](auto& r) { r.set_session_id("../../etc/passwd"); }, StatusCode::NOT_FOUND,
       "session"},
      {"session with newline", [](auto& r) { r.set_session_id("a\nb: c"); }, StatusCode::NOT_FOUND,
       "session"},
  };
}

std::vector<BadGenerate> BadPrompts() {
  const StatusCode code = StatusCode::INVALID_ARGUMENT;
  return {
      {"no prompt", [](auto& r) { r.clear_prompt(); }, code, "prompt"},
      {"empty text", [](auto& r) { r.set_text(""); }, code, "prompt"},
      {"empty ids", [](auto& r) { r.mutable_token_ids(); }, code, "prompt"},
      {"no messages", [](auto& r) { r.mutable_messages(); }, code, "messages"},
      {"role unset", [](auto& r) { r.mutable_messages()->add_messages()->set_content("x"); }, code,
       "role"},
      {"role unknown",
       [](auto& r) {
         r.mutable_messages()->add_messages()->set_role(static_cast<v1::ChatRole>(9));
       },
       code, "role"},
      {"many messages",
       [](auto& r) {
         for (int i = 0; i < 1025; ++i) {
           r.mutable_messages()->add_messages()->set_role(v1::CHAT_ROLE_USER);
         }
       },
       code, "messages"},
      {"negative id",
       [](auto& r) {
         SetTokens({1, -1}, &r);
       },
       code, "token_ids"},
      {"id past the vocabulary",
       [](auto& r) {
         SetTokens({1, kVocabulary}, &r);
       },
       code, "token"},
      {"largest id", [](auto& r) { SetTokens({std::numeric_limits<int32_t>::max()}, &r); }, code,
       "token"},
      {"huge text", [](auto& r) { r.set_text(std::string((1 << 20) + 1, 'x')); }, code,
       "--max-prompt-bytes"},
      {"many ids", [](auto& r) { SetTokens(std::vector<int32_t>((256 << 10) + 1, 1), &r); }, code,
       "--max-prompt-tokens"},
      {"huge messages",
       [](auto& r) {
         for (int i = 0; i < 2; ++i) {
           auto* message = r.mutable_messages()->add_messages();
           message->set_role(v1::CHAT_ROLE_USER);
           message->set_content(std::string((1 << 19) + 1, 'x'));
         }
       },
       code, "--max-prompt-bytes"},
  };
}

class BadRequestTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NO_FATAL_FAILURE(Start({})); }
  void Start(const std::vector<std::string>& flags) {
    daemon_ = Daemon::Start(flags);
    ASSERT_NE(daemon_, nullptr);
    client_ = daemon_->Connect();
  }
  void TearDown() override {
    ASSERT_NE(daemon_, nullptr);
    const Turn turn = RunTurn(*client_, GreedyRequest("Once", 3));
    EXPECT_FALSE(turn.error) << turn.Describe();
    const v1::ModelStats stats = StatsOf(*client_);
    EXPECT_EQ(stats.slots_used(), stats.device_states()) << "states for others, and no more";
  }
  void ExpectRefused(const std::vector<BadGenerate>& table) {
    for (const BadGenerate& bad : table) {
      SCOPED_TRACE(bad.name);
      v1::GenerateRequest request = GreedyRequest("Once upon a time", 2);
      bad.change(request);
      const Turn turn = RunTurn(*client_, request);
      EXPECT_EQ(turn.code(), bad.code) << turn.Describe();
      if (!turn.error) continue;
      EXPECT_THAT(turn.error->message, HasSubstr(bad.message));
      EXPECT_THAT(turn.error->message, Not(HasSubstr("/"))) << "a path leaks";
      EXPECT_FALSE(turn.error->reason.empty());
      EXPECT_LT(turn.error->message.size(), 1000u);
    }
  }
  // Sends bytes as the request of a method, as a client that is not ours may.
  grpc::Status SendRaw(const std::string& method, const std::string& bytes,
                       const std::function<void(grpc::ClientContext&)>& prepare = {}) {
    const auto channel = client::Connect({.server = daemon_->grpc()}).value().channel;
    grpc::GenericStub stub(channel);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    if (prepare) prepare(context);
    grpc::Slice slice(bytes);
    grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    grpc::CompletionQueue queue;
    const auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
    call->StartCall();
    grpc::Status status;
    call->Finish(&response, &status, this);
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue.Next(&tag, &ok));
    return status;
  }

  std::unique_ptr<Daemon> daemon_;
  std::shared_ptr<client::Client> client_;
};

TEST_F(BadRequestTest, SamplingOutOfRange) { ExpectRefused(BadSampling()); }
TEST_F(BadRequestTest, StopsOutOfRange) { ExpectRefused(BadStops()); }
TEST_F(BadRequestTest, ShapesAndNames) { ExpectRefused(BadShapes()); }
TEST_F(BadRequestTest, Prompts) { ExpectRefused(BadPrompts()); }

TEST_F(BadRequestTest, EdgesOfEveryRangeAreAccepted) {
  const std::vector<std::function<void(v1::GenerateRequest&)>> table = {
      [](auto& r) { Sampling(r).set_temperature(10); },
      [](auto& r) { Sampling(r).set_top_k(kVocabulary); },
      [](auto& r) { Sampling(r).set_top_p(1e-6f); },
      [](auto& r) { Sampling(r).set_min_p(1); },
      [](auto& r) { Sampling(r).set_repetition_penalty(10); },
      [](auto& r) { Sampling(r).set_presence_penalty(-2); },
      [](auto& r) { Sampling(r).set_frequency_penalty(2); },
      [](auto& r) { Sampling(r).set_penalty_window(4096); },
      [](auto& r) { (*Sampling(r).mutable_logit_bias())[kVocabulary - 1] = -100; },
      [](auto& r) { r.mutable_stop()->add_strings(std::string(256, 'x')); },
      [](auto& r) { r.mutable_stop()->add_token_ids(kVocabulary - 1); },
      [](auto& r) { r.set_n(16); },
      [](auto& r) { r.set_logprobs(20); },
      [](auto& r) { r.set_priority(-100); },
      [](auto& r) { SetTokens({kVocabulary - 1}, &r); },
      [](auto& r) { r.set_max_tokens(0); },
  };
  for (size_t i = 0; i < table.size(); ++i) {
    v1::GenerateRequest request = SeededRequest("Once upon a time", 2, 1);
    table[i](request);
    const Turn turn = RunTurn(*client_, request);
    EXPECT_FALSE(turn.error) << "row " << i << ": " << turn.Describe();
  }
}

TEST_F(BadRequestTest, Scores) {
  struct Row {
    std::function<void(v1::ScoreRequest&)> change;
    StatusCode code;
    const char* message;
  };
  const auto ids = [](const std::vector<int32_t>& values) {
    return [values](v1::ScoreRequest& r) {
      r.mutable_token_ids()->mutable_ids()->Assign(values.begin(), values.end());
    };
  };
  const Row table[] = {
      {[](auto&) {}, StatusCode::INVALID_ARGUMENT, "prompt"},
      {ids({}), StatusCode::INVALID_ARGUMENT, "at least 2"},
      {ids({5}), StatusCode::INVALID_ARGUMENT, "at least 2"},
      {ids({5, -5}), StatusCode::INVALID_ARGUMENT, "token_ids"},
      {ids({5, kVocabulary}), StatusCode::INVALID_ARGUMENT, "token"},
      {ids(std::vector<int32_t>(16385, 1)), StatusCode::INVALID_ARGUMENT, "--max-score-tokens"},
      {[](auto& r) { r.set_text(""); }, StatusCode::INVALID_ARGUMENT, "2"},
      {[](auto& r) { r.set_text("a"); }, StatusCode::INVALID_ARGUMENT, "2"},
      {[](auto& r) { r.set_text(std::string(16385, 'a')); }, StatusCode::INVALID_ARGUMENT,
       "--max-score-tokens"},
      {[](auto& r) { r.set_text("two words"), r.set_top_logprobs(21); },
       StatusCode::INVALID_ARGUMENT, "top_logprobs"},
      {[](auto& r) { r.set_text("two words"), r.set_model("nobody"); }, StatusCode::NOT_FOUND,
       "no model"},
  };
  for (const Row& row : table) {
    v1::ScoreRequest request;
    row.change(request);
    const auto response = client_->Score(request);
    ASSERT_FALSE(response.ok()) << request.ShortDebugString().substr(0, 100);
    EXPECT_EQ(response.error().code, row.code) << client::ToString(response.error());
    EXPECT_THAT(response.error().message, HasSubstr(row.message));
  }
}

TEST_F(BadRequestTest, Vectors) {
  ASSERT_NO_FATAL_FAILURE(Start({"--max-prompt-tokens", "100", "--max-prompt-bytes", "1K"}));
  struct Row {
    std::function<void(v1::EncodeRequest&)> change;
    StatusCode code;
    const char* message;
  };
  const auto ids = [](const std::vector<int32_t>& values) {
    return [values](v1::EncodeRequest& r) {
      r.mutable_token_ids()->mutable_ids()->Assign(values.begin(), values.end());
    };
  };
  const Row table[] = {
      {[](auto&) {}, StatusCode::INVALID_ARGUMENT, "prompt"},
      {ids({}), StatusCode::INVALID_ARGUMENT, "no token"},
      {ids({-5}), StatusCode::INVALID_ARGUMENT, "token_ids"},
      {ids({kVocabulary}), StatusCode::INVALID_ARGUMENT, "token"},
      {ids(std::vector<int32_t>(101, 1)), StatusCode::INVALID_ARGUMENT, "--max-prompt-tokens"},
      {[](auto& r) { r.set_text(""); }, StatusCode::INVALID_ARGUMENT, "no token"},
      {[](auto& r) { r.set_text(std::string(1025, 'a')); }, StatusCode::INVALID_ARGUMENT,
       "--max-prompt-bytes"},
      {[](auto& r) { r.set_text("a"), r.set_pooling(static_cast<v1::Pooling>(9)); },
       StatusCode::INVALID_ARGUMENT, "POOLING_MAX, got 9"},
      {[](auto& r) { r.set_text("a"), r.set_model("nobody"); }, StatusCode::NOT_FOUND, "no model"},
  };
  for (const Row& row : table) {
    v1::EncodeRequest request;
    row.change(request);
    const auto response = client_->Encode(request);
    ASSERT_FALSE(response.ok()) << request.ShortDebugString().substr(0, 100);
    EXPECT_EQ(response.error().code, row.code) << client::ToString(response.error());
    EXPECT_THAT(response.error().message, HasSubstr(row.message));
  }
}

TEST_F(BadRequestTest, OtherCalls) {
  v1::TokenizeRequest tokenize;
  tokenize.set_text(std::string((1 << 20) + 1, 'x'));
  EXPECT_EQ(client_->Tokenize(tokenize).error().code, StatusCode::INVALID_ARGUMENT);
  v1::DetokenizeRequest detokenize;
  detokenize.add_token_ids(-1);
  EXPECT_EQ(client_->Detokenize(detokenize).error().code, StatusCode::INVALID_ARGUMENT);
  detokenize.set_token_ids(0, kVocabulary);
  EXPECT_EQ(client_->Detokenize(detokenize).error().code, StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(client_->CreateSession("nobody").error().code, StatusCode::NOT_FOUND);
  EXPECT_EQ(client_->GetSession("").error().code, StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(client_->DeleteSession("nothing")->code, StatusCode::NOT_FOUND);
  EXPECT_EQ(client_->GetModel("nobody").error().code, StatusCode::NOT_FOUND);
  EXPECT_EQ(client_->GetModel("").error().code, StatusCode::INVALID_ARGUMENT);
  v1::ListSessionsRequest list;
  list.set_page_size(1001);
  EXPECT_EQ(client_->ListSessions(list).error().code, StatusCode::INVALID_ARGUMENT);
  list.set_page_size(-1);
  EXPECT_EQ(client_->ListSessions(list).error().code, StatusCode::INVALID_ARGUMENT);
}

TEST_F(BadRequestTest, TextThatIsNotUtf8) {
  // TokenizeRequest.text (field 2) with a stray byte, a lone surrogate, an overlong slash.
  for (const std::string text : {"ab\xff", "\xed\xa0\x80", "\xc0\xaf"}) {
    const std::string bytes = std::string("\x12") + static_cast<char>(text.size()) + text;
    const grpc::Status status = SendRaw("/ssmd.v1.GenerationService/Tokenize", bytes);
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr("UTF-8"));
    // GenerateRequest.text is field 4.
    const std::string generate = std::string("\x22") + static_cast<char>(text.size()) + text;
    EXPECT_EQ(SendRaw("/ssmd.v1.GenerationService/Generate", generate).error_code(),
              StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(BadRequestTest, BytesThatAreNoMessage) {
  for (const std::string& bytes : {std::string("\xff\xff\xff\xff"), std::string("\x12\x7f"),
                                   std::string("\x0a\xff\xff\xff\xff\x0f"), std::string(3, '\0')}) {
    for (const char* method :
         {"/ssmd.v1.GenerationService/Tokenize", "/ssmd.v1.GenerationService/Generate",
          "/ssmd.v1.GenerationService/Score", "/ssmd.v1.GenerationService/Encode",
          "/ssmd.v1.SessionService/GetSession"}) {
      EXPECT_EQ(SendRaw(method, bytes).error_code(), StatusCode::INVALID_ARGUMENT) << method;
    }
  }
}

TEST_F(BadRequestTest, AnOversizedMessage) {
  ASSERT_NO_FATAL_FAILURE(Start({"--max-message-bytes", "64K"}));
  v1::TokenizeRequest request;
  request.set_text(std::string(64 << 10, 'x'));  // past it with its header
  EXPECT_EQ(client_->Tokenize(request).error().code, StatusCode::RESOURCE_EXHAUSTED);
  request.set_text(std::string((64 << 10) - 100, 'x'));
  EXPECT_TRUE(client_->Tokenize(request).ok());
}

TEST_F(BadRequestTest, OversizedMetadata) {
  const grpc::Status status =
      SendRaw("/ssmd.v1.ModelService/ListModels", "", [](grpc::ClientContext& context) {
        context.AddMetadata("x-padding", std::string(64 << 10, 'p'));
      });
  EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_TRUE(SendRaw("/ssmd.v1.ModelService/ListModels", "", [](grpc::ClientContext& context) {
                context.AddMetadata("x-padding", std::string(8 << 10, 'p'));
              }).ok());
}

TEST_F(BadRequestTest, AMethodThatDoesNotExist) {
  EXPECT_EQ(SendRaw("/ssmd.v1.GenerationService/Nothing", "").error_code(),
            StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(SendRaw("/no.such.Service/Nothing", "").error_code(), StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace ssmd::test
