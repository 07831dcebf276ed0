// The life of a stream between an engine and a gRPC caller, in all the ways that it can end. Run
// with AddressSanitizer and ThreadSanitizer: most of what can go wrong here is a lifetime.
#include "server/grpc/stream_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "engine/base/errors.h"
#include "ssmd/v1/rpc_status.pb.h"
#include "tests/support/eventually.h"
#include "tests/unit/server/test_daemon.h"

namespace ssmd::server {
namespace {

using ::ssmd::test::Eventually;

DeltaEvent Delta(std::string text) {
  DeltaEvent event;
  event.text = std::move(text);
  return event;
}

v1::GenerateRequest Request() {
  v1::GenerateRequest request;
  request.set_text("hello");
  return request;
}

// A call in progress. The connection is its own.
struct ClientStream {
  explicit ClientStream(TestDaemon& daemon, const grpc::ChannelArguments& arguments = {},
                        std::chrono::milliseconds deadline = std::chrono::minutes(5)) {
    stub = v1::GenerationService::NewStub(daemon.Channel(arguments));
    context.set_deadline(std::chrono::system_clock::now() + deadline);
    reader = stub->Generate(&context, Request());
  }
  grpc::ClientContext context;
  std::unique_ptr<v1::GenerationService::Stub> stub;
  std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>> reader;
};

TEST(StreamWriter, DeliversEventsInOrderAndThenTheStatus) {
  TestDaemon daemon;
  ClientStream client(daemon);
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  EXPECT_EQ(std::get<std::string>(turn.request.prompt), "hello");
  EXPECT_EQ(turn.request.tenant, "default");
  StartedEvent started;
  started.request_id = turn.request_id;
  started.model = "m";
  started.seed = 7;
  turn.stream->Push(started);
  DeltaEvent delta = Delta("a");
  delta.token_ids = {5};
  delta.logprobs = {TokenDetail{5, -0.5F, {{6, -1.5F}}}};
  turn.stream->Push(delta);
  turn.stream->Push(FinalEvent{});
  turn.stream->Finish(absl::OkStatus());

  v1::GenerateResponse response;
  ASSERT_TRUE(client.reader->Read(&response));
  EXPECT_EQ(response.started().seed(), 7U);
  EXPECT_EQ(response.started().request_id(), turn.request_id);
  const auto& metadata = client.context.GetServerInitialMetadata();
  ASSERT_EQ(metadata.count("x-ssmd-request-id"), 1U);
  EXPECT_EQ(metadata.find("x-ssmd-request-id")->second, turn.request_id);
  ASSERT_TRUE(client.reader->Read(&response));
  EXPECT_EQ(response.delta().text(), "a");
  EXPECT_EQ(response.delta().logprobs(0).token().token(), "m:5");
  EXPECT_EQ(response.delta().logprobs(0).top(0).token(), "m:6");
  ASSERT_TRUE(client.reader->Read(&response));
  EXPECT_TRUE(response.has_final());
  EXPECT_FALSE(client.reader->Read(&response));
  EXPECT_TRUE(client.reader->Finish().ok());
}

TEST(StreamWriter, TellsTheEngineWhatTheTransportHasTaken) {
  TestDaemon daemon;
  ClientStream client(daemon);
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  EXPECT_EQ(turn.stream->accepted_tokens(), 0);
  turn.stream->Push(StartedEvent{});
  DeltaEvent delta = Delta("ab");
  delta.token_ids = {5, 6};
  turn.stream->Push(delta);
  v1::GenerateResponse response;
  ASSERT_TRUE(client.reader->Read(&response));
  ASSERT_TRUE(client.reader->Read(&response));
  EXPECT_TRUE(Eventually([&] { return turn.stream->accepted_tokens() == 2; }));
  turn.stream->Finish(absl::OkStatus());
  EXPECT_TRUE(client.reader->Finish().ok());
}

TEST(StreamWriter, WhatACallerDoesNotTakeWasNotAccepted) {
  TestDaemon daemon;
  ClientStream client(daemon, SmallWindow());
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  // Each is larger than the window, and the caller reads none.
  int pushed = 0;
  DeltaEvent delta = Delta(std::string(100'000, 'x'));
  delta.token_ids = {5};
  ASSERT_TRUE(Eventually([&] {
    while (!turn.stream->full() && pushed < 100) {
      turn.stream->Push(delta);
      ++pushed;
    }
    return turn.stream->full();
  }));
  EXPECT_LT(turn.stream->accepted_tokens(), pushed);
  client.context.TryCancel();
  turn.stream->Finish(absl::CancelledError("x"));
  client.reader->Finish();
}

TEST(StreamWriter, AnErrorAfterPartialOutputKeepsTheOutputAndCarriesItsDetails) {
  TestDaemon daemon;
  ClientStream client(daemon);
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  turn.stream->Push(Delta("some"));
  turn.stream->Finish(WithRetryAfter(
      WithReason(absl::ResourceExhaustedError("too slow: read faster"), reason::kSlowReader),
      std::chrono::milliseconds(1500)));

  v1::GenerateResponse response;
  ASSERT_TRUE(client.reader->Read(&response));
  EXPECT_EQ(response.delta().text(), "some");
  EXPECT_FALSE(client.reader->Read(&response));
  const grpc::Status status = client.reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_message(), "too slow: read faster");
  v1::RpcStatus details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  ASSERT_EQ(details.details_size(), 2);
  v1::ErrorInfo info;
  ASSERT_TRUE(info.ParseFromString(details.details(0).value()));
  EXPECT_EQ(details.details(0).type_url(), "type.googleapis.com/google.rpc.ErrorInfo");
  EXPECT_EQ(info.reason(), "SLOW_READER");
  EXPECT_EQ(info.domain(), "ssmd");
  v1::RetryInfo retry;
  ASSERT_TRUE(retry.ParseFromString(details.details(1).value()));
  EXPECT_EQ(retry.retry_delay().seconds(), 1);
  EXPECT_EQ(retry.retry_delay().nanos(), 500000000);
  const auto& trailers = client.context.GetServerTrailingMetadata();
  ASSERT_EQ(trailers.count("grpc-retry-pushback-ms"), 1U);
  EXPECT_EQ(trailers.find("grpc-retry-pushback-ms")->second, "1500");
}

TEST(StreamWriter, ACallerThatCancelsEndsItsTurn) {
  TestDaemon daemon;
  ClientStream client(daemon);
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  turn.stream->Push(Delta("a"));
  v1::GenerateResponse response;
  ASSERT_TRUE(client.reader->Read(&response));
  client.context.TryCancel();
  EXPECT_TRUE(Eventually([&] { return turn.stream->cancelled(); }));
  EXPECT_EQ(client.reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST(StreamWriter, ACallerThatDiesEndsItsTurn) {
  TestDaemon daemon;
  auto client = std::make_unique<ClientStream>(daemon);
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  turn.stream->Push(Delta("a"));
  client.reset();  // drops the call and its connection
  EXPECT_TRUE(Eventually([&] { return turn.stream->cancelled(); }));
}

TEST(StreamWriter, ACallerThatDiesWhileAMessageIsStuckEndsItsTurn) {
  TestDaemon daemon;
  auto client = std::make_unique<ClientStream>(daemon, SmallWindow());
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  for (int i = 0; i < 6; ++i) turn.stream->Push(Delta(std::string(1 << 20, 'x')));
  client.reset();
  EXPECT_TRUE(Eventually([&] { return turn.stream->cancelled(); }));
}

TEST(StreamWriter, TheEngineLearnsTheDeadlineAndIsLeftToNoticeIt) {
  TestDaemon daemon;
  ClientStream client(daemon, {}, std::chrono::milliseconds(200));
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  ASSERT_TRUE(turn.request.deadline.has_value());
  v1::GenerateResponse response;
  EXPECT_FALSE(client.reader->Read(&response));
  EXPECT_EQ(client.reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  // Later than the caller's by as long as the call was on its way.
  EXPECT_LE(*turn.request.deadline, std::chrono::steady_clock::now() + std::chrono::seconds(10));
  EXPECT_FALSE(turn.stream->cancelled());
  turn.stream->Finish(absl::DeadlineExceededError("the deadline passed"));
}

TEST(StreamWriter, ACallWithoutADeadlineHasNone) {
  TestDaemon daemon;
  grpc::ClientContext context;
  auto stub = v1::GenerationService::NewStub(daemon.Channel());
  auto reader = stub->Generate(&context, Request());
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  EXPECT_FALSE(turn.request.deadline.has_value());
  turn.stream->Finish(absl::OkStatus());
  EXPECT_TRUE(reader->Finish().ok());
}

TEST(StreamWriter, AReaderThatDoesNotReadHoldsUpItselfOnly) {
  TestDaemon daemon;
  ClientStream slow(daemon, SmallWindow());
  const FakeEngine::Turn slow_turn = daemon.engine().WaitForTurn();
  constexpr int kMessages = 8;
  for (int i = 0; i < kMessages; ++i) {
    slow_turn.stream->Push(Delta(std::string(1 << 20, static_cast<char>('a' + i))));
  }
  ClientStream quick(daemon);
  const FakeEngine::Turn quick_turn = daemon.engine().WaitForTurn();
  v1::GenerateResponse response;
  for (int i = 0; i < 100; ++i) {
    quick_turn.stream->Push(Delta("x"));
    ASSERT_TRUE(quick.reader->Read(&response));
  }
  quick_turn.stream->Finish(absl::OkStatus());
  EXPECT_TRUE(quick.reader->Finish().ok());

  // Nearly all of it still waits with the engine: the server holds one message, the wire little.
  EXPECT_TRUE(slow_turn.stream->full());
  slow_turn.stream->Finish(absl::OkStatus());
  for (int i = 0; i < kMessages; ++i) {
    ASSERT_TRUE(slow.reader->Read(&response));
    EXPECT_EQ(response.delta().text()[0], static_cast<char>('a' + i));
  }
  EXPECT_TRUE(slow.reader->Finish().ok());
}

TEST(StreamWriter, ACallThatIsStuckForTooLongIsBrokenOff) {
  Options options;
  options.server.slow_reader_timeout = std::chrono::milliseconds(50);
  TestDaemon daemon(options);
  ClientStream client(daemon, SmallWindow());
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  for (int i = 0; i < 6; ++i) turn.stream->Push(Delta(std::string(1 << 20, 'x')));
  EXPECT_TRUE(Eventually([&] {
    daemon.daemon().Tick();
    return turn.stream->cancelled();
  }));
  v1::GenerateResponse response;
  while (client.reader->Read(&response)) {
  }
  EXPECT_FALSE(client.reader->Finish().ok());
}

TEST(StreamWriter, AStreamThatWaitsForTheEngineIsNotStuck) {
  Options options;
  options.server.slow_reader_timeout = std::chrono::nanoseconds(1);
  TestDaemon daemon(options);
  ClientStream client(daemon);
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  turn.stream->Push(Delta("a"));
  v1::GenerateResponse response;
  ASSERT_TRUE(client.reader->Read(&response));
  // The message was taken; what the writer waits for now is the engine.
  ASSERT_TRUE(Eventually([&] {
    turn.stream->Push(Delta("b"));
    return client.reader->Read(&response);
  }));
  turn.stream->Finish(absl::OkStatus());
  EXPECT_FALSE(client.reader->Read(&response));
  daemon.daemon().Tick();
  EXPECT_TRUE(client.reader->Finish().ok());
}

TEST(StreamWriter, StopWaitsForTurnsThatEnd) {
  TestDaemon daemon;
  ClientStream client(daemon);
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  bool finished = false;
  std::thread stop([&] { finished = daemon.daemon().Stop(); });
  EXPECT_TRUE(Eventually([&] { return daemon.engine().draining(); }));
  turn.stream->Push(Delta("last words"));
  turn.stream->Finish(absl::OkStatus());
  v1::GenerateResponse response;
  ASSERT_TRUE(client.reader->Read(&response));
  EXPECT_EQ(response.delta().text(), "last words");
  EXPECT_TRUE(client.reader->Finish().ok());
  stop.join();
  EXPECT_TRUE(finished);
}

TEST(StreamWriter, StopBreaksOffTurnsThatDoNotEndInTime) {
  Options options;
  options.server.drain_timeout = Duration::zero();
  TestDaemon daemon(options);
  ClientStream client(daemon);
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  EXPECT_FALSE(daemon.daemon().Stop());
  EXPECT_TRUE(turn.stream->cancelled());
  EXPECT_FALSE(client.reader->Finish().ok());
}

TEST(StreamWriter, ADaemonThatEndsBreaksOffItsStreams) {
  TestDaemon daemon;
  ClientStream client(daemon);
  const FakeEngine::Turn turn = daemon.engine().WaitForTurn();
  daemon.End();
  EXPECT_TRUE(turn.stream->cancelled());
  EXPECT_FALSE(client.reader->Finish().ok());
}

TEST(StreamWriter, ManyCallersThatCancelAtAnyMomentLeaveNothingBehind) {
  TestDaemon daemon;
  auto stub = v1::GenerationService::NewStub(daemon.Channel());
  constexpr int kCalls = 64;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>>> readers;
  std::vector<FakeEngine::Turn> turns;
  for (int i = 0; i < kCalls; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    readers.push_back(stub->Generate(contexts.back().get(), Request()));
    turns.push_back(daemon.engine().WaitForTurn());
  }
  std::thread producer([&] {
    for (int round = 0; round < 20; ++round) {
      for (const auto& turn : turns) {
        if (!turn.stream->cancelled() && !turn.stream->full()) turn.stream->Push(Delta("x"));
      }
    }
  });
  for (const auto& context : contexts) context->TryCancel();
  producer.join();
  for (const auto& reader : readers) reader->Finish();
  EXPECT_TRUE(daemon.daemon().Stop());
}

}  // namespace
}  // namespace ssmd::server
