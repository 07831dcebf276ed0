// SessionService over a real gRPC connection: what reaches the engine, and that calls which wait
// for it hold up nobody else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "engine/base/errors.h"
#include "ssmd/v1/session.grpc.pb.h"
#include "tests/support/eventually.h"
#include "tests/unit/server/test_daemon.h"

namespace ssmd::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SessionServiceTest : public ::testing::Test {
 protected:
  void Start(const Options& options = {}) {
    daemon_ = std::make_unique<TestDaemon>(options);
    stub_ = v1::SessionService::NewStub(daemon_->Channel());
  }
  template <typename Response, typename Request>
  grpc::Status Call(grpc::Status (v1::SessionService::Stub::*method)(grpc::ClientContext*,
                                                                     const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    return (stub_.get()->*method)(&context, request, response);
  }

  std::unique_ptr<TestDaemon> daemon_;
  std::unique_ptr<v1::SessionService::Stub> stub_;
};

TEST_F(SessionServiceTest, CallsReachTheEngineWithTheirTenant) {
  Start();
  using Stub = v1::SessionService::Stub;
  v1::CreateSessionRequest create;
  create.set_model("m");
  v1::CreateSessionResponse created;
  ASSERT_TRUE(Call(&Stub::CreateSession, create, &created).ok());
  EXPECT_THAT(created.session().last_token_ids(), ElementsAre(7, 8));

  v1::GetSessionRequest get;
  get.set_session_id("nope");
  v1::GetSessionResponse got;
  EXPECT_EQ(Call(&Stub::GetSession, get, &got).error_code(), grpc::StatusCode::NOT_FOUND);

  v1::ListSessionsRequest list;
  list.set_parent_id("p");
  v1::ListSessionsResponse listed;
  ASSERT_TRUE(Call(&Stub::ListSessions, list, &listed).ok());
  EXPECT_EQ(listed.sessions_size(), 2);
  EXPECT_EQ(listed.next_page_token(), "next");

  v1::ForkSessionRequest fork;
  fork.set_session_id("s");
  fork.set_count(2);
  fork.set_checkpoint("c");
  fork.mutable_lifetime()->set_ttl_seconds(3);
  v1::ForkSessionResponse forked;
  ASSERT_TRUE(Call(&Stub::ForkSession, fork, &forked).ok());
  ASSERT_EQ(forked.sessions_size(), 2);
  EXPECT_EQ(forked.sessions(1).session_id(), "child1");

  v1::RewindSessionRequest rewind;
  rewind.set_session_id("s");
  rewind.set_turns(2);
  rewind.set_allow_recompute(true);
  rewind.set_expected_revision(0);
  v1::RewindSessionResponse rewound;
  ASSERT_TRUE(Call(&Stub::RewindSession, rewind, &rewound).ok());
  EXPECT_EQ(rewound.session().session_id(), "s");

  v1::CheckpointSessionRequest checkpoint;
  checkpoint.set_session_id("s");
  checkpoint.set_name("c");
  v1::CheckpointSessionResponse checkpointed;
  ASSERT_TRUE(Call(&Stub::CheckpointSession, checkpoint, &checkpointed).ok());

  v1::DeleteSessionRequest remove;
  remove.set_session_id("s");
  remove.set_expected_revision(0);
  v1::DeleteSessionResponse removed;
  ASSERT_TRUE(Call(&Stub::DeleteSession, remove, &removed).ok());

  EXPECT_THAT(daemon_->engine().session_calls(),
              ElementsAre("create default m", "get default nope", "list default  p 100 ",
                          "fork default s 2 c -1 99 3000", "rewind default s  -1 2 recompute 0",
                          "checkpoint default s c set 99", "delete default s 0"));
}

TEST_F(SessionServiceTest, ErrorsOfTheEngineComeBack) {
  Start();
  v1::ForkSessionRequest fork;
  fork.set_session_id("nope");
  v1::ForkSessionResponse forked;
  EXPECT_EQ(Call(&v1::SessionService::Stub::ForkSession, fork, &forked).error_code(),
            grpc::StatusCode::NOT_FOUND);
  fork.set_count(1001);
  EXPECT_EQ(Call(&v1::SessionService::Stub::ForkSession, fork, &forked).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(SessionServiceTest, CreateFromASessionForksItOnce) {
  Start();
  v1::CreateSessionRequest create;
  create.mutable_fork()->set_session_id("s");
  create.mutable_fork()->set_checkpoint("c");
  v1::CreateSessionResponse created;
  ASSERT_TRUE(Call(&v1::SessionService::Stub::CreateSession, create, &created).ok());
  EXPECT_EQ(created.session().session_id(), "child0");
  EXPECT_THAT(daemon_->engine().session_calls(), ElementsAre("fork default s 1 c -1 99 0"));
  create.set_model("other");
  const grpc::Status status = Call(&v1::SessionService::Stub::CreateSession, create, &created);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("the session is of \"m\""));
  create.set_model("m");
  EXPECT_TRUE(Call(&v1::SessionService::Stub::CreateSession, create, &created).ok());
}

TEST_F(SessionServiceTest, CreateWithAPromptAnswersWhenItWasRead) {
  Start();
  v1::CreateSessionRequest create;
  create.set_text("Once");
  v1::CreateSessionResponse created;
  grpc::Status status;
  std::thread caller(
      [&] { status = Call(&v1::SessionService::Stub::CreateSession, create, &created); });
  const FakeEngine::Creation creation = daemon_->engine().WaitForCreation();
  EXPECT_EQ(std::get<std::string>(*creation.request.prompt), "Once");
  SessionInfo session;
  session.session_id = std::string("made");
  creation.done(session);
  caller.join();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(created.session().session_id(), "made");
}

TEST_F(SessionServiceTest, CreateThatTheCallerGivesUpIsCancelled) {
  Start();
  v1::CreateSessionRequest create;
  create.set_text("Once");
  v1::CreateSessionResponse created;
  grpc::ClientContext context;
  std::thread caller([&] { stub_->CreateSession(&context, create, &created); });
  const FakeEngine::Creation creation = daemon_->engine().WaitForCreation();
  context.TryCancel();
  daemon_->engine().WaitForCreationCancelled();
  creation.done(absl::CancelledError("given up"));
  caller.join();
}

// gRPC has fewer threads than there are calls here; each of them would be stuck.
TEST_F(SessionServiceTest, CallsThatWaitForTheEngineHoldUpNoOthers) {
  Start();
  daemon_->engine().HoldChanges(true);
  constexpr int kCalls = 24;
  std::vector<std::thread> callers;
  std::atomic<int> done = 0;
  callers.reserve(kCalls);
  for (int i = 0; i < kCalls; ++i) {
    callers.emplace_back([&] {
      v1::DeleteSessionRequest request;
      request.set_session_id("s");
      v1::DeleteSessionResponse response;
      if (Call(&v1::SessionService::Stub::DeleteSession, request, &response).ok()) ++done;
    });
  }
  daemon_->engine().WaitForHeldChanges(4);  // as many as may wait at once
  v1::GetSessionRequest get;
  get.set_session_id("s");
  v1::GetSessionResponse got;
  EXPECT_TRUE(Call(&v1::SessionService::Stub::GetSession, get, &got).ok());
  EXPECT_EQ(done, 0);
  daemon_->engine().HoldChanges(false);
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(done, kCalls);
}

// And so may wait, for it.
TEST_F(SessionServiceTest, CallsThatLookAreCountedAmongRequestsWhereAStoreIsShared) {
  for (const bool is_shared : {false, true}) {
    Options options;
    options.server.requests = 1;
    if (is_shared) options.replica.store.url = "redis://127.0.0.1:1";  // which nobody asks here
    Start(options);
    daemon_->engine().HoldChanges(true);
    std::thread first([&] {
      v1::DeleteSessionRequest request;
      request.set_session_id("s");
      v1::DeleteSessionResponse response;
      EXPECT_TRUE(Call(&v1::SessionService::Stub::DeleteSession, request, &response).ok());
    });
    daemon_->engine().WaitForHeldChanges(1);
    v1::GetSessionRequest get;
    get.set_session_id("s");
    v1::GetSessionResponse got;
    v1::ListSessionsResponse listed;
    const auto expected = is_shared ? grpc::StatusCode::RESOURCE_EXHAUSTED : grpc::StatusCode::OK;
    using Stub = v1::SessionService::Stub;
    EXPECT_EQ(Call(&Stub::GetSession, get, &got).error_code(), expected);
    EXPECT_EQ(Call(&Stub::ListSessions, {}, &listed).error_code(), expected);
    daemon_->engine().HoldChanges(false);
    first.join();
    if (!is_shared) continue;
    EXPECT_TRUE(test::Eventually([&] { return Call(&Stub::ListSessions, {}, &listed).ok(); }));
    EXPECT_EQ(listed.sessions_size(), 2);
  }
}

TEST_F(SessionServiceTest, CallsThatChangeSessionsAreCountedAmongRequests) {
  Options options;
  options.server.requests = 1;
  options.server.tenant_requests = 1;
  Start(options);
  daemon_->engine().HoldChanges(true);
  v1::DeleteSessionRequest request;
  request.set_session_id("s");
  std::thread first([&] {
    v1::DeleteSessionResponse response;
    EXPECT_TRUE(Call(&v1::SessionService::Stub::DeleteSession, request, &response).ok());
  });
  daemon_->engine().WaitForHeldChanges(1);
  v1::DeleteSessionResponse response;
  EXPECT_EQ(Call(&v1::SessionService::Stub::DeleteSession, request, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  v1::CreateSessionResponse created;
  EXPECT_EQ(Call(&v1::SessionService::Stub::CreateSession, {}, &created).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  daemon_->engine().HoldChanges(false);
  first.join();
}

}  // namespace
}  // namespace ssmd::server
