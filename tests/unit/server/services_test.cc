// The services over a real gRPC connection: what reaches the engine, what comes back, who may.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "engine/base/errors.h"
#include "ssmd/v1/admin.grpc.pb.h"
#include "ssmd/v1/model.grpc.pb.h"
#include "ssmd/v1/rpc_status.pb.h"
#include "ssmd/v1/session.grpc.pb.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/server/test_daemon.h"

namespace ssmd::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ReasonIn(const grpc::Status& status) {
  v1::RpcStatus details;
  v1::ErrorInfo info;
  if (!details.ParseFromString(status.error_details()) || details.details_size() == 0 ||
      !info.ParseFromString(details.details(0).value())) {
    return "";
  }
  return info.reason();
}

// Sends bytes as they are, and returns the status.
grpc::Status CallRaw(TestDaemon& daemon, const std::string& method, const std::string& bytes) {
  grpc::GenericStub stub(daemon.Channel());
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, &queue);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return status;
}

TEST(Services, TokenizeAndDetokenize) {
  TestDaemon daemon;
  auto stub = v1::GenerationService::NewStub(daemon.Channel());
  grpc::ClientContext context;
  v1::TokenizeRequest request;
  request.set_text("ab");
  request.set_parse_special(true);
  v1::TokenizeResponse response;
  ASSERT_TRUE(stub->Tokenize(&context, request, &response).ok());
  EXPECT_THAT(response.token_ids(), ElementsAre('a', 'b', 1000));
  EXPECT_EQ(context.GetServerInitialMetadata().count("x-ssmd-request-id"), 1U);

  grpc::ClientContext back;
  v1::DetokenizeRequest ids;
  ids.add_token_ids('a');
  v1::DetokenizeResponse text;
  ASSERT_TRUE(stub->Detokenize(&back, ids, &text).ok());
  EXPECT_EQ(text.text(), "a");
}

TEST(Services, ScoreAnswersWhenTheEngineDoes) {
  TestDaemon daemon;
  auto stub = v1::GenerationService::NewStub(daemon.Channel());
  grpc::ClientContext context;
  v1::ScoreRequest request;
  request.set_model("m");
  request.mutable_token_ids()->add_ids(1);
  request.mutable_token_ids()->add_ids(2);
  v1::ScoreResponse response;
  grpc::Status status;
  std::thread caller([&] { status = stub->Score(&context, request, &response); });
  ScoreResult result;
  result.token_ids = {1, 2};
  result.logprobs = {TokenDetail{2, -0.25F, {}}};
  result.numerics_profile = "p";
  daemon.engine().WaitForScore()(result);
  caller.join();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response.token_ids(), ElementsAre(1, 2));
  EXPECT_EQ(response.logprobs(0).token().logprob(), -0.25F);
  EXPECT_EQ(response.logprobs(0).token().token(), "m:2");
}

TEST(Services, ScoreThatTheCallerGivesUpIsCancelled) {
  TestDaemon daemon;
  auto stub = v1::GenerationService::NewStub(daemon.Channel());
  grpc::ClientContext context;
  v1::ScoreRequest request;
  request.set_text("abc");
  v1::ScoreResponse response;
  std::thread caller([&] { stub->Score(&context, request, &response); });
  const auto done = daemon.engine().WaitForScore();
  context.TryCancel();
  daemon.engine().WaitForReadingCancelled();
  done(absl::CancelledError("given up"));
  caller.join();
}

TEST(Services, ScoreThatTheEngineRefusesAtOnce) {
  TestDaemon daemon;
  daemon.engine().RefuseNext(absl::NotFoundError("no such model"));
  auto stub = v1::GenerationService::NewStub(daemon.Channel());
  grpc::ClientContext context;
  v1::ScoreRequest request;
  request.set_text("abc");
  v1::ScoreResponse response;
  EXPECT_EQ(stub->Score(&context, request, &response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST(Services, EncodeAnswersWhenTheEngineDoes) {
  TestDaemon daemon;
  auto stub = v1::GenerationService::NewStub(daemon.Channel());
  grpc::ClientContext context;
  v1::EncodeRequest request;
  request.set_model("m");
  request.set_text("abc");
  request.set_pooling(v1::POOLING_LAST);
  request.set_normalize(true);
  v1::EncodeResponse response;
  grpc::Status status;
  std::thread caller([&] { status = stub->Encode(&context, request, &response); });
  const FakeEngine::Encoding encoding = daemon.engine().WaitForEncoding();
  EXPECT_EQ(encoding.request.model, "m");
  EXPECT_EQ(std::get<std::string>(encoding.request.prompt), "abc");
  EXPECT_EQ(encoding.request.pooling, Pooling::kLast);
  EXPECT_TRUE(encoding.request.normalize);
  encoding.done(EncodeResult{{0.5F, -2}, 3, "p"});
  caller.join();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response.values(), ElementsAre(0.5F, -2));
  EXPECT_EQ(response.tokens(), 3);
  EXPECT_EQ(response.numerics_profile(), "p");
}

TEST(Services, EncodeThatTheCallerGivesUpIsCancelled) {
  TestDaemon daemon;
  auto stub = v1::GenerationService::NewStub(daemon.Channel());
  grpc::ClientContext context;
  v1::EncodeRequest request;
  request.set_text("abc");
  v1::EncodeResponse response;
  std::thread caller([&] { stub->Encode(&context, request, &response); });
  const FakeEngine::Encoding encoding = daemon.engine().WaitForEncoding();
  context.TryCancel();
  daemon.engine().WaitForReadingCancelled();
  encoding.done(absl::CancelledError("given up"));
  caller.join();
}

TEST(Services, ModelsAreListedAndFoundByName) {
  TestDaemon daemon;
  auto stub = v1::ModelService::NewStub(daemon.Channel());
  grpc::ClientContext list_context;
  v1::ListModelsResponse list;
  ASSERT_TRUE(stub->ListModels(&list_context, {}, &list).ok());
  ASSERT_EQ(list.models_size(), 1);
  EXPECT_EQ(list.models(0).vocabulary_size(), 300);
  for (const auto& [name, code] :
       {std::pair("m", grpc::StatusCode::OK), std::pair("x", grpc::StatusCode::NOT_FOUND),
        std::pair("", grpc::StatusCode::INVALID_ARGUMENT)}) {
    grpc::ClientContext context;
    v1::GetModelRequest request;
    request.set_name(name);
    v1::GetModelResponse response;
    EXPECT_EQ(stub->GetModel(&context, request, &response).error_code(), code) << name;
  }
}

TEST(Services, MalformedMessagesAndInvalidUtf8AreInvalidArguments) {
  TestDaemon daemon;
  const struct {
    const char* method;
    std::string bytes;
  } kCases[] = {
      {"/ssmd.v1.GenerationService/Tokenize", std::string("\x12\x02\xff\xfe", 4)},  // text
      {"/ssmd.v1.GenerationService/Generate", std::string("\x22\x02\xff\xfe", 4)},  // text
      {"/ssmd.v1.GenerationService/Score", std::string("\x12\x02\xc0\x80", 4)},     // text
      {"/ssmd.v1.GenerationService/Encode", std::string("\x12\x02\xc0\x80", 4)},    // text
      {"/ssmd.v1.SessionService/GetSession", std::string("\x0a\x01\xff", 3)},       // session_id
      {"/ssmd.v1.GenerationService/Generate", "\x22\x7f"},                          // truncated
      {"/ssmd.v1.AdminService/GetStats", "\xff\xff\xff\xff"},
      {"/ssmd.v1.SessionService/CreateSession", std::string("\x1a\x02\xff\xfe", 4)},  // text
      {"/ssmd.v1.SessionService/ForkSession", std::string("\x0a\x01\xff", 3)},
      {"/ssmd.v1.SessionService/ExportSession", std::string("\x0a\x01\xff", 3)},
      {"/ssmd.v1.SessionService/ImportSession", std::string("\x0a\x01\xff", 3)},  // model
      {"/ssmd.v1.MemoryService/Memory", std::string("\x0a\x03\x12\x01\xff", 5)},  // open.session_id
  };
  for (const auto& test : kCases) {
    const grpc::Status status = CallRaw(daemon, test.method, test.bytes);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << test.method;
    EXPECT_THAT(status.error_message(), HasSubstr("UTF-8")) << test.method;
    EXPECT_EQ(ReasonIn(status), "MALFORMED_MESSAGE") << test.method;
  }
}

TEST(Services, MessagesHaveALimit) {
  Options options;
  options.server.message_bytes = 2000;
  options.request.prompt_bytes = 1 << 20;
  TestDaemon daemon(options);
  auto stub = v1::GenerationService::NewStub(daemon.Channel());
  // A text of n bytes is a message of n + 3 here: a tag and a length of two bytes.
  for (const auto& [bytes, code] :
       {std::pair(1996, grpc::StatusCode::OK), std::pair(1997, grpc::StatusCode::OK),
        std::pair(1998, grpc::StatusCode::RESOURCE_EXHAUSTED)}) {
    grpc::ClientContext context;
    v1::TokenizeRequest request;
    request.set_text(std::string(static_cast<size_t>(bytes), 'x'));
    v1::TokenizeResponse response;
    EXPECT_EQ(stub->Tokenize(&context, request, &response).error_code(), code) << bytes;
  }
}

TEST(Services, MetadataHasALimit) {
  Options options;
  options.server.metadata_bytes = 4096;
  TestDaemon daemon(options);
  auto stub = v1::ModelService::NewStub(daemon.Channel());
  for (const auto& [bytes, code] : {std::pair(2000, grpc::StatusCode::OK),
                                    std::pair(5000, grpc::StatusCode::RESOURCE_EXHAUSTED)}) {
    grpc::ClientContext context;
    context.AddMetadata("x-big", std::string(static_cast<size_t>(bytes), 'x'));
    v1::ListModelsResponse response;
    EXPECT_EQ(stub->ListModels(&context, {}, &response).error_code(), code) << bytes;
  }
}

TEST(Services, CompressedMessagesAreRefusedBeforeTheyGrow) {
  TestDaemon daemon;
  auto stub = v1::GenerationService::NewStub(daemon.Channel());
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  v1::TokenizeRequest request;
  request.set_text(std::string(1 << 20, 'x'));
  v1::TokenizeResponse response;
  EXPECT_EQ(stub->Tokenize(&context, request, &response).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST(Services, CallsAtOnceHaveALimitPerTenantAndInAll) {
  Options options;
  options.server.requests = 3;
  options.server.tenant_requests = 2;
  TestDaemon daemon(options);
  auto stub = v1::GenerationService::NewStub(daemon.Channel());
  v1::GenerateRequest request;
  request.set_text("a");
  grpc::ClientContext first_context;
  grpc::ClientContext second_context;
  auto first = stub->Generate(&first_context, request);
  auto second = stub->Generate(&second_context, request);
  const FakeEngine::Turn first_turn = daemon.engine().WaitForTurn();
  const FakeEngine::Turn second_turn = daemon.engine().WaitForTurn();

  grpc::ClientContext third_context;
  auto third = stub->Generate(&third_context, request);
  const grpc::Status status = third->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonIn(status), "TOO_MANY_TENANT_REQUESTS");
  EXPECT_EQ(third_context.GetServerTrailingMetadata().count("grpc-retry-pushback-ms"), 1U);

  first_turn.stream->Finish(absl::OkStatus());
  second_turn.stream->Finish(absl::OkStatus());
  EXPECT_TRUE(first->Finish().ok());
  EXPECT_TRUE(second->Finish().ok());
}

TEST(Services, RefusalsAreCountedWithoutMakingSeriesOfCallersNames) {
  TestDaemon daemon;
  auto stub = v1::GenerationService::NewStub(daemon.Channel());
  for (const char* model : {"m", "made-up"}) {
    daemon.engine().RefuseNext(absl::NotFoundError("no"));
    grpc::ClientContext context;
    v1::GenerateRequest request;
    request.set_model(model);
    request.set_text("a");
    EXPECT_EQ(stub->Generate(&context, request)->Finish().error_code(),
              grpc::StatusCode::NOT_FOUND);
  }
  const std::string text = daemon.Scrape();
  EXPECT_THAT(text, HasSubstr("ssmd_requests_total{model=\"m\",outcome=\"not_found\"} 1"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("made-up")));
}

TEST(Services, AdminIsForTheLoopbackWhereThereAreNoTokens) {
  TestDaemon daemon;
  auto stub = v1::AdminService::NewStub(daemon.Channel());
  grpc::ClientContext context;
  v1::GetStatsResponse stats;
  ASSERT_TRUE(stub->GetStats(&context, {}, &stats).ok());
  EXPECT_GT(stats.resident_bytes(), 1 << 20);
  EXPECT_FALSE(stats.draining());
  ASSERT_EQ(stats.models_size(), 1);
  EXPECT_EQ(stats.models(0).slots_free(), 5);
  EXPECT_FALSE(stats.has_state_dir());
}

TEST(Services, StatsCarryLatenciesAndTheStateDirectory) {
  Options options;
  options.state_dir.path = std::string("/somewhere");
  TestDaemon daemon(options);
  daemon.metrics().FirstToken("m", std::chrono::milliseconds(3));
  daemon.metrics().NextToken("m", std::chrono::microseconds(700));
  auto stub = v1::AdminService::NewStub(daemon.Channel());
  grpc::ClientContext context;
  v1::GetStatsResponse stats;
  ASSERT_TRUE(stub->GetStats(&context, {}, &stats).ok());
  EXPECT_EQ(stats.state_dir().log_bytes(), 11);
  EXPECT_EQ(stats.state_dir().stored_bytes(), 12);
  const v1::Latency& first = stats.models(0).time_to_first_token();
  ASSERT_EQ(first.counts_size(), first.bounds_ms_size() + 1);
  EXPECT_DOUBLE_EQ(first.bounds_ms(0), 1);
  EXPECT_EQ(first.counts(0), 0U);
  EXPECT_DOUBLE_EQ(first.bounds_ms(1), 5);
  EXPECT_EQ(first.counts(1), 1U);
  EXPECT_EQ(first.counts(first.counts_size() - 1), 1U);
  EXPECT_DOUBLE_EQ(first.sum_ms(), 3);
  EXPECT_EQ(stats.models(0).inter_token().counts(1), 1U);
  EXPECT_EQ(stats.models(0).steps_by_phase_size(), 3);
  EXPECT_EQ(stats.device_failure(), "");
}

TEST(Services, DrainRefusesNewTurnsAndSaysHowManyRemain) {
  TestDaemon daemon;
  auto stub = v1::AdminService::NewStub(daemon.Channel());
  grpc::ClientContext context;
  v1::DrainResponse drained;
  ASSERT_TRUE(stub->Drain(&context, {}, &drained).ok());
  EXPECT_EQ(drained.remaining(), 3);
  auto generation = v1::GenerationService::NewStub(daemon.Channel());
  grpc::ClientContext refused;
  v1::GenerateRequest request;
  request.set_text("a");
  const grpc::Status status = generation->Generate(&refused, request)->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonIn(status), "DRAINING");
  // For a proxy, which sees headers: nothing was done of it, and another server may be asked.
  const auto& headers = refused.GetServerInitialMetadata();
  ASSERT_EQ(headers.count("x-ssmd-refused"), 1U);
  EXPECT_EQ(headers.find("x-ssmd-refused")->second, "ask-another");
}

class ServicesWithTokens : public ::testing::Test {
 protected:
  ServicesWithTokens() {
    Write("secret-of-ann ann\nsecret-of-root root admin\n");
    options_.token_file = path_;
  }
  void Write(const std::string& text) {
    // Renamed, as a careful operator does: never half a file.
    std::ofstream(path_ + ".new") << text;
    std::filesystem::rename(path_ + ".new", path_);
  }
  static grpc::Status CreateSession(TestDaemon& daemon, const std::string& authorization) {
    auto stub = v1::SessionService::NewStub(daemon.Channel());
    grpc::ClientContext context;
    if (!authorization.empty()) context.AddMetadata("authorization", authorization);
    v1::CreateSessionResponse response;
    return stub->CreateSession(&context, {}, &response);
  }
  static grpc::Status GetStats(TestDaemon& daemon, const std::string& authorization) {
    auto stub = v1::AdminService::NewStub(daemon.Channel());
    grpc::ClientContext context;
    if (!authorization.empty()) context.AddMetadata("authorization", authorization);
    v1::GetStatsResponse response;
    return stub->GetStats(&context, {}, &response);
  }

  const testing::TempFolder folder_;
  const std::string path_ = folder_.File("tokens");
  Options options_;
};

TEST_F(ServicesWithTokens, EveryServiceWantsATokenAndKnowsItsTenant) {
  TestDaemon daemon(options_);
  EXPECT_TRUE(CreateSession(daemon, "Bearer secret-of-ann").ok());
  EXPECT_THAT(daemon.engine().session_calls(), ElementsAre("create ann "));
  for (const char* authorization : {"", "Bearer wrong-token", "Basic secret-of-ann", "Bearer "}) {
    const grpc::Status status = CreateSession(daemon, authorization);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << authorization;
    EXPECT_EQ(ReasonIn(status), "UNAUTHENTICATED");
    EXPECT_EQ(GetStats(daemon, authorization).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  }
  for (const char* method :
       {"/ssmd.v1.GenerationService/Generate", "/ssmd.v1.GenerationService/Score",
        "/ssmd.v1.GenerationService/Encode", "/ssmd.v1.GenerationService/Tokenize",
        "/ssmd.v1.GenerationService/Detokenize", "/ssmd.v1.SessionService/CreateSession",
        "/ssmd.v1.SessionService/GetSession", "/ssmd.v1.SessionService/ListSessions",
        "/ssmd.v1.SessionService/ForkSession", "/ssmd.v1.SessionService/RewindSession",
        "/ssmd.v1.SessionService/CheckpointSession", "/ssmd.v1.SessionService/DeleteSession",
        "/ssmd.v1.SessionService/ExportSession", "/ssmd.v1.SessionService/ImportSession",
        "/ssmd.v1.MemoryService/Memory", "/ssmd.v1.ModelService/ListModels",
        "/ssmd.v1.ModelService/GetModel", "/ssmd.v1.AdminService/Drain",
        "/ssmd.v1.AdminService/GetStats"}) {
    EXPECT_EQ(CallRaw(daemon, method, "").error_code(), grpc::StatusCode::UNAUTHENTICATED)
        << method;
  }
}

TEST_F(ServicesWithTokens, AdminWantsTheRoleEvenOnTheLoopback) {
  TestDaemon daemon(options_);
  EXPECT_TRUE(GetStats(daemon, "Bearer secret-of-root").ok());
  const grpc::Status status = GetStats(daemon, "Bearer secret-of-ann");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(ReasonIn(status), "PERMISSION_DENIED");
}

TEST_F(ServicesWithTokens, ATickTakesUpAChangedFileAndKeepsTheOldOneWhenItIsBroken) {
  TestDaemon daemon(options_);
  Write("secret-of-bob bob\n");
  daemon.daemon().Tick();
  EXPECT_TRUE(CreateSession(daemon, "Bearer secret-of-bob").ok());
  EXPECT_FALSE(CreateSession(daemon, "Bearer secret-of-ann").ok());
  Write("secret-of-bob\n");
  daemon.daemon().Tick();
  daemon.daemon().Tick();
  EXPECT_TRUE(CreateSession(daemon, "Bearer secret-of-bob").ok());
  const std::string log = daemon.End();
  EXPECT_THAT(log, HasSubstr("token_file_reloaded"));
  EXPECT_THAT(log, HasSubstr("token_file_refused"));
  EXPECT_THAT(log, HasSubstr("line 1"));
  EXPECT_THAT(log, HasSubstr("what was read before stays in use"));
  EXPECT_EQ(log.find("token_file_refused"), log.rfind("token_file_refused")) << "reported once";
  EXPECT_THAT(log, ::testing::Not(HasSubstr("secret-of")));
}

TEST(Services, TheLogNamesCallsAndNeverTheirContent) {
  TestDaemon daemon;
  auto stub = v1::GenerationService::NewStub(daemon.Channel());
  grpc::ClientContext context;
  v1::TokenizeRequest request;
  request.set_text("my private words");
  v1::TokenizeResponse response;
  ASSERT_TRUE(stub->Tokenize(&context, request, &response).ok());
  const std::string log = daemon.End();
  EXPECT_THAT(log, HasSubstr("method=Tokenize"));
  EXPECT_THAT(log, HasSubstr("status=OK"));
  EXPECT_THAT(log, ::testing::Not(HasSubstr("private")));
}

}  // namespace
}  // namespace ssmd::server
