// The client library's session calls: requests and routing, and snapshots in both directions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/clients/fake_sessions.h"

namespace ssmd::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kId[] = "0123456789abcdef0123456789abcdef";

TEST(ClientSessions, CallsOnASessionAreRoutedToIt) {
  FakeSessions server;
  v1::ForkSessionRequest fork;
  fork.set_session_id(kId);
  fork.set_count(2);
  const auto children = server.client().ForkSession(fork);
  ASSERT_TRUE(children.ok());
  ASSERT_EQ(children.value().size(), 2U);
  EXPECT_EQ(children.value()[1].session_id(), "child1");
  EXPECT_EQ(server.routed_to, kId);

  v1::RewindSessionRequest rewind;
  rewind.set_session_id(kId);
  rewind.set_position(7);
  EXPECT_EQ(server.client().RewindSession(rewind).value().position(), 7);
  EXPECT_EQ(server.routed_to, kId);

  v1::CheckpointSessionRequest checkpoint;
  checkpoint.set_session_id(kId);
  checkpoint.set_name("c");
  EXPECT_EQ(server.client().CheckpointSession(checkpoint).value().checkpoints(0).name(), "c");
  EXPECT_EQ(server.routed_to, kId);

  v1::CreateSessionRequest create;
  create.set_text("Once");
  EXPECT_EQ(server.client().CreateSession(create).value().session_id(), "made");
  EXPECT_EQ(server.routed_to, "");
  create.mutable_fork()->set_session_id(kId);
  EXPECT_TRUE(server.client().CreateSession(create).ok());
  EXPECT_EQ(server.routed_to, kId) << "a fork goes where its parent is";
  EXPECT_TRUE(server.client().CreateSession("m").ok());
  EXPECT_EQ(server.request, "model: \"m\"");
}

TEST(ClientSessions, AnExportGivesItsChunksInOrder) {
  FakeSessions server;
  server.chunks = {"ab", "c", "def"};
  server.claimed_bytes = 6;
  v1::ExportSessionRequest request;
  request.set_session_id(kId);
  std::vector<std::string> chunks;
  const auto error = server.client().ExportSession(request, {}, [&](std::string_view chunk) {
    chunks.emplace_back(chunk);
    return true;
  });
  EXPECT_FALSE(error.has_value());
  EXPECT_THAT(chunks, ElementsAre("ab", "c", "def"));
  EXPECT_EQ(server.routed_to, kId);
}

TEST(ClientSessions, AnExportThatIsNotWholeIsAnError) {
  FakeSessions server;
  server.chunks = {"ab"};
  server.claimed_bytes = 3;
  const auto error = server.client().ExportSession({}, {}, [](std::string_view) { return true; });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, grpc::StatusCode::DATA_LOSS);
  EXPECT_THAT(error->message, HasSubstr("3 bytes, and 2 came"));
}

TEST(ClientSessions, AnExportCanBeStopped) {
  FakeSessions server;
  server.chunks.assign(10000, std::string(10000, 'x'));
  server.claimed_bytes = 100000000;
  int chunks = 0;
  const auto error = server.client().ExportSession({}, {}, [&](std::string_view) {
    ++chunks;
    return false;
  });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, grpc::StatusCode::CANCELLED);
  EXPECT_EQ(chunks, 1);
}

// Gives the parts one by one, and then nothing.
std::function<Result<std::string>()> Parts(std::vector<std::string> parts) {
  return [parts, at = size_t{0}]() mutable -> Result<std::string> {
    return at < parts.size() ? parts[at++] : std::string();
  };
}

TEST(ClientSessions, AnImportSendsItsFirstMessageAndThenTheBytes) {
  FakeSessions server;
  v1::ImportSessionRequest first;
  first.set_model("m");
  first.set_rebuild(true);
  const auto session = server.client().ImportSession(first, {}, Parts({"ab", "cd"}));
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(session.value().session_id(), "imported");
  EXPECT_EQ(server.imported, "abcd");
  EXPECT_EQ(server.request, "model: \"m\" rebuild: true");
}

TEST(ClientSessions, AnImportThatIsRefusedWhileItIsSentSaysWhy) {
  FakeSessions server;
  server.import_refusal = grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "another model");
  // More than any buffer takes, so that the writes fail.
  const auto session = server.client().ImportSession(
      {}, {}, Parts(std::vector<std::string>(200, std::string(1 << 20, 'x'))));
  ASSERT_FALSE(session.ok());
  EXPECT_EQ(session.error().message, "another model");
}

TEST(ClientSessions, AnImportWhoseSourceFailsMakesNoSession) {
  FakeSessions server;
  const auto session = server.client().ImportSession({}, {}, []() -> Result<std::string> {
    return Error{grpc::StatusCode::ABORTED, "the disk is gone", "", std::nullopt};
  });
  ASSERT_FALSE(session.ok());
  EXPECT_EQ(session.error().message, "the disk is gone");
}

}  // namespace
}  // namespace ssmd::client
