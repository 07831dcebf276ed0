// The life of a request of OpenAI's endpoints between a caller and an engine, in all the ways that
// it can end.
#include "server/http/api/completion_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/errors.h"
#include "tests/support/eventually.h"
#include "tests/unit/server/raw_connection.h"

namespace ssmd::server {
namespace {

using ::ssmd::test::Eventually;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kChat[] = "/v1/chat/completions";
constexpr char kSession[] = "0123456789abcdef0123456789abcdef";  // that the fake engine makes

StartedEvent StartedOf(const FakeEngine::Turn& turn) {
  StartedEvent started;
  started.request_id = turn.request_id;
  started.model = std::string("m");
  started.session_id = turn.request.session_id;
  started.seed = 7;
  return started;
}

DeltaEvent DeltaOf(std::string text, int32_t token) {
  DeltaEvent delta;
  delta.text = std::move(text);
  delta.token_ids = {token};
  return delta;
}

ChoiceFinishedEvent FinishedOf(const FakeEngine::Turn& turn) {
  ChoiceFinishedEvent finished;
  finished.reason = FinishReason::kStop;
  finished.session_id = turn.request.session_id;
  finished.revision = turn.request.session_id.empty() ? 0 : 1;
  return finished;
}

void Say(const FakeEngine::Turn& turn, const std::vector<std::string>& words) {
  turn.stream->Push(StartedOf(turn));
  for (const std::string& word : words) turn.stream->Push(DeltaOf(word, 1));
  turn.stream->Push(FinishedOf(turn));
  FinalEvent end;
  end.usage.prompt_tokens = 5;
  end.usage.reused_tokens = 2;
  end.usage.generated_tokens = 3;
  turn.stream->Push(end);
  turn.stream->Finish(absl::OkStatus());
}

std::string Body(const std::string& more = "") {
  return R"({"messages": [{"role": "user", "content": "hi"}])" + more + "}";
}

TEST(CompletionCall, ARequestIsATurnAndItsAnswerWhole) {
  TestDaemon daemon;
  RawConnection caller(daemon);
  caller.Send(PostText(kChat, Body(R"(, "max_tokens": 9)"),
                       "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"));
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  EXPECT_EQ(turn.request.tenant, "default");
  EXPECT_EQ(turn.request.max_tokens, 9);
  EXPECT_EQ(turn.request.trace_id, "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(std::get<ChatPrompt>(turn.request.prompt).messages.front().content, "hi");
  Say(turn, {"He", "llo"});
  const std::string answer = caller.ReadAll();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("x-request-id: " + turn.request_id + "\r\n"));
  EXPECT_THAT(answer, HasSubstr("traceparent: 00-0af7651916cd43dd8448eb211c80319c-"));
  EXPECT_THAT(answer, HasSubstr(R"("message":{"role":"assistant","content":"Hello")"));
  EXPECT_THAT(answer, HasSubstr(R"("finish_reason":"stop")"));
  EXPECT_THAT(answer, HasSubstr(R"("usage":{"prompt_tokens":5,"completion_tokens":3,)"
                                R"("total_tokens":8,"prompt_tokens_details":{"cached_tokens":2})"));
  EXPECT_THAT(answer, HasSubstr(R"("seed":7)"));
}

TEST(CompletionCall, PiecesComeAsTheEngineMakesThem) {
  TestDaemon daemon;
  RawConnection caller(daemon);
  caller.Send(PostText(kChat, Body(R"(, "stream": true)")));
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  const auto read_until = [&caller](const std::string& what) {
    std::string text;
    while (text.find(what) == std::string::npos) {
      const std::string more = caller.ReadSome();
      if (more.empty()) break;
      text += more;
    }
    return text;
  };
  turn.stream->Push(StartedOf(turn));
  EXPECT_THAT(read_until("\n\n"), HasSubstr("Content-Type: text/event-stream"));
  turn.stream->Push(ProgressEvent{32, 100});
  EXPECT_THAT(read_until("tokens"), HasSubstr(": prefill 32 of 100 tokens\n\n"));
  turn.stream->Push(DeltaOf("one", 1));
  EXPECT_THAT(read_until("one"), HasSubstr(R"("delta":{"content":"one"})"));
  turn.stream->Push(DeltaOf("", 2));  // half a character
  turn.stream->Push(DeltaOf("two", 3));
  EXPECT_THAT(read_until("two"), Not(HasSubstr(R"("delta":{})")));
  EXPECT_TRUE(Eventually([&] { return turn.stream->accepted_tokens() == 3; }));
  turn.stream->Push(FinishedOf(turn));
  turn.stream->Push(FinalEvent{});
  turn.stream->Finish(absl::OkStatus());
  EXPECT_THAT(caller.ReadAll(), HasSubstr("data: [DONE]\n\n"));
}

TEST(CompletionCall, WhatTheEngineRefusesIsAnErrorOfItsKind) {
  const struct {
    absl::Status refusal;
    const char* status;
    const char* type;
  } kCases[] = {
      {absl::NotFoundError("x"), "404", "invalid_request_error"},
      {absl::AbortedError("x"), "409", "invalid_request_error"},
      {WithRetryAfter(absl::ResourceExhaustedError("x"), std::chrono::milliseconds(1500)), "429",
       "rate_limit_error"},
      {absl::UnavailableError("x"), "503", "server_error"},
      {absl::InternalError("x"), "500", "server_error"},
  };
  for (const auto& test : kCases) {
    TestDaemon daemon;
    daemon.engine().RefuseNext(test.refusal);
    RawConnection caller(daemon);
    caller.Send(PostText(kChat, Body()));
    const std::string answer = caller.ReadAll();
    EXPECT_THAT(answer, StartsWith(std::string("HTTP/1.1 ") + test.status));
    EXPECT_THAT(answer, HasSubstr(R"({"error":{"message":"x","type":")" + std::string(test.type)));
    const bool later = std::string(test.status) == "429";
    EXPECT_EQ(answer.find("Retry-After: 2\r\n") != std::string::npos, later);
    EXPECT_THAT(answer, Not(HasSubstr("x-ssmd-refused")));
  }
}

TEST(CompletionCall, ARefusalByAServerThatDrainsTellsProxiesToAskAnother) {
  TestDaemon daemon;
  daemon.engine().RefuseNext(WithReason(absl::UnavailableError("x"), reason::kDraining));
  RawConnection caller(daemon);
  caller.Send(PostText(kChat, Body()));
  const std::string answer = caller.ReadAll();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(answer, HasSubstr("x-ssmd-refused: ask-another\r\n"));
}

TEST(CompletionCall, ATurnThatFailsEndsItsStreamWithAnError) {
  TestDaemon daemon;
  RawConnection caller(daemon);
  caller.Send(PostText(kChat, Body(R"(, "stream": true)")));
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  turn.stream->Push(StartedOf(turn));
  turn.stream->Finish(WithReason(absl::InternalError("not finite"), reason::kNumerical));
  const std::string answer = caller.ReadAll();
  EXPECT_THAT(answer, HasSubstr(R"(data: {"error":{"message":"not finite","type":"server_error",)"
                                R"("param":null,"code":"numerical"}})"));
  EXPECT_THAT(answer, Not(HasSubstr("[DONE]")));
}

TEST(CompletionCall, ACallerThatLeavesCancelsItsTurn) {
  for (const char* more : {"", R"(, "stream": true)"}) {
    TestDaemon daemon;
    std::optional<FakeEngine::Turn> turn;
    {
      RawConnection caller(daemon);
      caller.Send(PostText(kChat, Body(more)));
      turn = daemon.engine().WaitForTurn();
      turn->stream->Push(StartedOf(*turn));
    }
    EXPECT_TRUE(Eventually([&] { return turn->stream->cancelled(); })) << more;
  }
}

TEST(CompletionCall, AWholeAnswerHasALimitAndAStreamHasNone) {
  Options options;
  options.request.whole_answer_bytes = 1024;
  for (const bool stream : {false, true}) {
    for (const size_t bytes : {size_t{1024}, size_t{1025}}) {
      TestDaemon daemon(options);
      RawConnection caller(daemon);
      caller.Send(PostText(kChat, Body(stream ? R"(, "stream": true)" : "")));
      const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
      const bool fits = stream || bytes == 1024;
      turn.stream->Push(StartedOf(turn));
      turn.stream->Push(DeltaOf(std::string(bytes, 'x'), 1));
      if (fits) {
        turn.stream->Push(FinishedOf(turn));
        turn.stream->Push(FinalEvent{});
        turn.stream->Finish(absl::OkStatus());
      }
      const std::string answer = caller.ReadAll();
      EXPECT_THAT(answer, StartsWith(fits ? "HTTP/1.1 200 " : "HTTP/1.1 400 ")) << bytes;
      EXPECT_EQ(answer.find("--max-whole-answer-bytes of 1024") == std::string::npos, fits);
    }
  }
}

TEST(CompletionCall, AStoredAnswerIsASessionThatItsIdNames) {
  TestDaemon daemon;
  RawConnection caller(daemon);
  caller.Send(PostText(kChat, Body(R"(, "store": true)")));
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  EXPECT_EQ(turn.request.session_id, kSession);
  Say(turn, {"Hello"});
  const std::string answer = caller.ReadAll();
  EXPECT_THAT(answer, HasSubstr("\"id\":\"chatcmpl-" + std::string(kSession) + "-1\""));
  EXPECT_THAT(answer, HasSubstr("\"session_id\":\"" + std::string(kSession) + "\""));
  EXPECT_THAT(daemon.engine().session_calls(), ::testing::ElementsAre("create default "));
}

TEST(CompletionCall, ASessionMadeForATurnThatFailsGoesToo) {
  for (const bool leaves : {false, true}) {
    TestDaemon daemon;
    {
      RawConnection caller(daemon);
      caller.Send(PostText(kChat, Body(R"(, "store": true)")));
      const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
      if (!leaves) {
        turn.stream->Finish(absl::InternalError("x"));
        EXPECT_THAT(caller.ReadAll(), StartsWith("HTTP/1.1 500 "));
      }
    }
    EXPECT_TRUE(Eventually([&] {
      const std::vector<std::string> calls = daemon.engine().session_calls();
      return calls.size() == 2 && calls[1] == "delete default " + std::string(kSession) + " 0";
    })) << leaves;
  }
}

TEST(CompletionCall, AParentIsForkedAndNotTouched) {
  TestDaemon daemon;
  RawConnection caller(daemon);
  // The fake's sessions are at revision 0.
  caller.Send(PostText(kChat, Body(R"(, "ssmd": {"parent_id": "chatcmpl-)" + std::string(kSession) +
                                   R"(-0", "ttl_seconds": 5})")));
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  EXPECT_EQ(turn.request.session_id, "child0");
  Say(turn, {"Hello"});
  EXPECT_THAT(caller.ReadAll(), HasSubstr(R"("session_id":"child0")"));
  EXPECT_THAT(daemon.engine().session_calls(),
              Contains("fork default " + std::string(kSession) + " 1  -1 0 5000"));
  RawConnection late(daemon);
  late.Send(PostText(
      kChat, Body(R"(, "ssmd": {"parent_id": "chatcmpl-)" + std::string(kSession) + R"(-3"})")));
  const std::string gone = late.ReadAll();
  EXPECT_THAT(gone, StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(gone, HasSubstr("is not held any more"));
}

TEST(CompletionCall, TheDaemonsEndEndsItsTurns) {
  auto daemon = std::make_unique<TestDaemon>();
  RawConnection caller(*daemon);
  caller.Send(PostText(kChat, Body(R"(, "stream": true)")));
  const FakeEngine::Turn turn = daemon->engine().WaitForTurn();
  turn.stream->Push(StartedOf(turn));
  daemon->End();
  EXPECT_TRUE(turn.stream->cancelled());
  const std::string end = caller.ReadAll();
  EXPECT_THAT(end, HasSubstr("data: {\"error\":"));
  EXPECT_THAT(end, Not(HasSubstr("[DONE]")));
}

}  // namespace
}  // namespace ssmd::server
