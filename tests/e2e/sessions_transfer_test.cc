// Sessions that move between daemons as snapshots.
#include <gmock/gmock.h>

#include "tests/e2e/session_fixture.h"
#include "tests/support/models.h"

namespace ssmd::test {
namespace {

using ::testing::HasSubstr;

class SessionsTransferTest : public SessionFixture {
 protected:
  std::string Export(const std::string& id, const std::string& checkpoint = "") {
    v1::ExportSessionRequest request;
    request.set_session_id(id);
    request.set_checkpoint(checkpoint);
    std::string bytes;
    const auto error = client_->ExportSession(request, {}, [&](std::string_view chunk) {
      bytes += chunk;
      return true;
    });
    if (error.has_value()) ADD_FAILURE() << client::ToString(*error);
    return bytes;
  }
  static client::Result<v1::Session> Import(client::Client& client, std::string bytes,
                                            const v1::ImportSessionRequest& first = {}) {
    return client.ImportSession(first, {}, [&bytes]() -> client::Result<std::string> {
      std::string chunk = bytes.substr(0, 100'000);
      bytes.erase(0, chunk.size());
      return chunk;
    });
  }
};

TEST_F(SessionsTransferTest, AnotherDaemonGoesOnExactly) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once upon a time", 9, &history);
  const v1::Session exported = Get(id);
  const std::string bytes = Export(id);
  ASSERT_NO_FATAL_FAILURE(Start());  // the first daemon is gone
  const auto imported = Import(*client_, bytes);
  ASSERT_TRUE(imported.ok()) << client::ToString(imported.error());
  EXPECT_NE(imported.value().session_id(), id);
  EXPECT_EQ(imported.value().position(), exported.position());
  EXPECT_EQ(imported.value().history_hash(), exported.history_hash());
  const Turn turn = SayAndCheck(imported.value().session_id(), " and the dog", 9, &history);
  EXPECT_EQ(turn.final.usage().recomputed_tokens(), 0);
}

TEST_F(SessionsTransferTest, ARebuiltSessionReadsItsHistoryAgainAndIsTheSame) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once upon a time", 9, &history);
  v1::ImportSessionRequest first;
  first.set_rebuild(true);
  const auto imported = Import(*client_, Export(id), first);
  ASSERT_TRUE(imported.ok()) << client::ToString(imported.error());
  const Turn turn = SayAndCheck(imported.value().session_id(), " and the dog", 9, &history);
  EXPECT_GT(turn.final.usage().recomputed_tokens(), 0);
}

TEST_F(SessionsTransferTest, ACheckpointIsExportedAsItWas) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  std::vector<int32_t> early;
  SayAndCheck(id, "Once upon a time", 9, &early);
  v1::CheckpointSessionRequest checkpoint;
  checkpoint.set_session_id(id);
  checkpoint.set_name("early");
  ASSERT_TRUE(client_->CheckpointSession(checkpoint).ok());
  std::vector<int32_t> later = early;
  SayAndCheck(id, " later", 4, &later);
  const auto imported = Import(*client_, Export(id, "early"));
  ASSERT_TRUE(imported.ok()) << client::ToString(imported.error());
  SayAndCheck(imported.value().session_id(), " instead", 4, &early);
}

TEST_F(SessionsTransferTest, WhatWasCutOffOrChangedIsRefused) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  ASSERT_FALSE(Say(id, "Once upon a time", 9).error);
  const std::string bytes = Export(id);
  std::string changed = bytes;
  changed[changed.size() / 2] = static_cast<char>(changed[changed.size() / 2] ^ 1);
  for (const std::string& bad : {bytes.substr(0, bytes.size() - 1), bytes.substr(0, 40), changed}) {
    const auto refused = Import(*client_, bad);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, grpc::StatusCode::DATA_LOSS)
        << client::ToString(refused.error());
  }
  const auto nonsense = Import(*client_, "this is no snapshot at all, but a sentence");
  ASSERT_FALSE(nonsense.ok());
  EXPECT_EQ(nonsense.error().code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(client_->ListSessions({}).value().sessions_size(), 1);
}

// Bits are the same on scalar code and on the best that there is, and so are profiles.
TEST_F(SessionsTransferTest, AnotherInstructionSetGoesOnExactly) {
  const std::vector<std::string> weights = {"--model-option", "tales.weights=f32"};
  std::vector<std::string> scalar = weights;
  scalar.insert(scalar.end(), {"--isa", "scalar"});
  ASSERT_NO_FATAL_FAILURE(Start(scalar));
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once upon a time", 9, &history);
  const std::string bytes = Export(id);
  const v1::Model before = client_->GetModel("tales").value();
  EXPECT_EQ(before.device(), "cpu/scalar");
  ASSERT_NO_FATAL_FAILURE(Start(weights));
  const v1::Model after = client_->GetModel("tales").value();
  EXPECT_EQ(after.numerics_profile(), before.numerics_profile());
  if (after.device() == before.device()) GTEST_SKIP() << "this CPU has the scalar level alone";
  const auto imported = Import(*client_, bytes);
  ASSERT_TRUE(imported.ok()) << client::ToString(imported.error());
  const Turn turn = SayAndCheck(imported.value().session_id(), " and the dog", 40, &history);
  EXPECT_EQ(turn.final.usage().recomputed_tokens(), 0);
}

TEST_F(SessionsTransferTest, AnotherModelRefusesItAndNamesWhatDiffers) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  ASSERT_FALSE(Say(id, "Once upon a time", 9).error);
  const std::string bytes = Export(id);
  const TempDir dir;
  WriteRandomMamba(dir.File("other"), MambaShape{}, 1);
  const auto other = Daemon::Start(DaemonOptions{{}, "other=" + dir.File("other")});
  ASSERT_NE(other, nullptr);
  const auto refused = Import(*other->Connect(), bytes);
  ASSERT_FALSE(refused.ok());
  // Too large for the small model, or of another one: either way it says which.
  EXPECT_THAT(refused.error().message, ::testing::AnyOf(HasSubstr("layout"), HasSubstr("bytes")))
      << client::ToString(refused.error());
}

}  // namespace
}  // namespace ssmd::test
