// A step that does not end: who notices, and who is told.
#include "server/step_watch.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/http_get.h"
#include "tests/unit/server/test_daemon.h"

namespace ssmd::server {
namespace {

using ::testing::HasSubstr;

TEST(StepWatch, GivesAStepItsTimeAndNoMore) {
  FakeEngine engine;
  FakeClock clock;
  StepWatch watch(&engine, std::chrono::seconds(60), &clock);
  for (int hour = 0; hour < 3; ++hour) {
    clock.Advance(std::chrono::hours(1));
    EXPECT_TRUE(watch.Alive()) << "it went round";
  }
  engine.HoldPulse(true);
  clock.Advance(std::chrono::seconds(60));
  EXPECT_TRUE(watch.Alive());
  clock.Advance(std::chrono::milliseconds(1));
  EXPECT_FALSE(watch.Alive());
  engine.HoldPulse(false);
  EXPECT_TRUE(watch.Alive());
}

// grpc.health.v1.Health/Check of a name, by the bytes of its messages: a string of field 1 there,
// and an enum back, which is 1 for SERVING.
std::string Health(const TestDaemon& daemon, const std::string& name) {
  const std::string request = absl::StrCat("\x0a", std::string(1, char(name.size())), name);
  const grpc::Slice slice(request);
  grpc::GenericStub stub(daemon.Channel());
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const grpc::ByteBuffer sent(&slice, 1);
  auto call = stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", sent, &queue);
  call->StartCall();
  grpc::ByteBuffer answer;
  grpc::Status status;
  call->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  EXPECT_TRUE(status.ok()) << status.error_message();
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(answer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& part : slices) bytes.append(part.begin(), part.end());
  return bytes == "\x08\x01" ? "SERVING" : bytes == "\x08\x02" ? "NOT_SERVING" : bytes;
}

TEST(StepWatch, HealthOfLiveAndHealthzSayThatAStepDoesNotEnd) {
  Options options;
  options.server.step_time = Duration::zero();
  TestDaemon daemon(options);
  daemon.daemon().Tick();
  EXPECT_EQ(Health(daemon, kLiveHealth), "SERVING");
  EXPECT_EQ(test::HttpGet(daemon.daemon().http_address(), "/healthz").status, 200);
  daemon.engine().HoldPulse(true);
  EXPECT_TRUE(daemon.daemon().Tick()) << "it may end yet";
  EXPECT_FALSE(daemon.daemon().alive());
  EXPECT_EQ(Health(daemon, kLiveHealth), "NOT_SERVING");
  EXPECT_EQ(test::HttpGet(daemon.daemon().http_address(), "/healthz").status, 503);
  daemon.engine().HoldPulse(false);
  daemon.daemon().Tick();
  EXPECT_TRUE(daemon.daemon().alive());
  EXPECT_EQ(Health(daemon, kLiveHealth), "SERVING");
  const std::string log = daemon.End();
  EXPECT_THAT(log, HasSubstr("step_stuck max_step_time_s=0"));
  EXPECT_THAT(log, HasSubstr("steps_go_on"));
}

TEST(Daemon, IsNotReadyWhileAnotherProcessIsPresentAsItsReplica) {
  TestDaemon daemon;
  const std::string address = daemon.daemon().http_address();
  const auto ready = [&] { return test::HttpGet(address, "/readyz").status; };
  const Duration presence = Options().replica.limits.presence;
  daemon.engine().SetStoreTrouble("another process", presence / 2);
  daemon.daemon().Tick();
  EXPECT_EQ(ready(), 200) << "one that was killed is forgotten in a moment";
  daemon.engine().SetStoreTrouble("another process", presence * 2);
  daemon.daemon().Tick();
  EXPECT_EQ(ready(), 503);
  EXPECT_EQ(Health(daemon, ""), "NOT_SERVING");
  EXPECT_EQ(Health(daemon, kLiveHealth), "SERVING");
  daemon.engine().SetStoreTrouble("");
  daemon.daemon().Tick();
  EXPECT_EQ(ready(), 200);
  EXPECT_EQ(Health(daemon, ""), "SERVING");
  // One that drains stays so.
  daemon.engine().SetStoreTrouble("another process", presence * 2);
  daemon.daemon().Tick();
  daemon.daemon().Drain();
  daemon.engine().SetStoreTrouble("");
  daemon.daemon().Tick();
  EXPECT_EQ(ready(), 503);
  EXPECT_EQ(Health(daemon, ""), "NOT_SERVING");
}

TEST(StepWatch, ADrainIsNoReasonToStartTheDaemonAnew) {
  TestDaemon daemon;
  daemon.daemon().Drain();
  daemon.daemon().Tick();
  EXPECT_EQ(Health(daemon, ""), "NOT_SERVING");
  EXPECT_EQ(Health(daemon, kLiveHealth), "SERVING");
}

}  // namespace
}  // namespace ssmd::server
