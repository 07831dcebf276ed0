// Forks: children go on exactly as their parent would have, and leave it alone.
#include <gmock/gmock.h>

#include <set>

#include "tests/e2e/session_fixture.h"

namespace ssmd::test {
namespace {

class SessionsForkTest : public SessionFixture {
 protected:
  std::vector<v1::Session> Fork(const v1::ForkSessionRequest& request) {
    const auto children = client_->ForkSession(request);
    if (children.ok()) return children.value();
    ADD_FAILURE() << client::ToString(children.error());
    return {};
  }
  static v1::ForkSessionRequest Of(const std::string& id, int count) {
    v1::ForkSessionRequest request;
    request.set_session_id(id);
    request.set_count(count);
    return request;
  }
};

TEST_F(SessionsForkTest, ChildrenGoOnExactlyAndTheParentIsUntouched) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once upon a time", 6, &history);
  const v1::Session before = Get(id);
  const std::vector<v1::Session> children = Fork(Of(id, 3));
  ASSERT_EQ(children.size(), 3U);
  std::set<std::string> ids;
  for (const v1::Session& child : children) {
    ids.insert(child.session_id());
    EXPECT_EQ(child.parent_id(), id);
    EXPECT_EQ(child.parent_position(), before.position());
    EXPECT_EQ(child.position(), before.position());
    EXPECT_EQ(child.history_hash(), before.history_hash());
    std::vector<int32_t> own = history;
    const Turn turn = SayAndCheck(child.session_id(), " the cat said", 7, &own);
    EXPECT_EQ(turn.final.usage().recomputed_tokens(), 0);
    EXPECT_EQ(turn.final.usage().reused_tokens(), before.position() - before.pending_tokens());
  }
  EXPECT_EQ(ids.size(), 3U);
  const v1::Session after = Get(id);
  EXPECT_EQ(after.revision(), before.revision());
  EXPECT_EQ(after.history_hash(), before.history_hash());
  SayAndCheck(id, " and then", 5, &history);
}

TEST_F(SessionsForkTest, ChildrenAreListedByTheirParentAndOutliveIt) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once", 4, &history);
  const std::string child = Fork(Of(id, 1)).at(0).session_id();
  Create();
  v1::ListSessionsRequest list;
  list.set_parent_id(id);
  const auto listed = client_->ListSessions(list);
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed.value().sessions_size(), 1);
  EXPECT_EQ(listed.value().sessions(0).session_id(), child);
  EXPECT_FALSE(client_->DeleteSession(id).has_value());
  SayAndCheck(child, " again", 4, &history);
}

TEST_F(SessionsForkTest, AChildStartsAtACheckpointOrAHeldPosition) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once upon a time", 5, &history);
  const std::vector<int32_t> early = history;
  v1::CheckpointSessionRequest checkpoint;
  checkpoint.set_session_id(id);
  checkpoint.set_name("early");
  ASSERT_TRUE(client_->CheckpointSession(checkpoint).ok());
  SayAndCheck(id, " there was", 5, &history);
  v1::ForkSessionRequest by_name = Of(id, 1);
  by_name.set_checkpoint("early");
  v1::ForkSessionRequest by_position = Of(id, 1);
  by_position.set_position(static_cast<int64_t>(early.size()));
  for (const v1::ForkSessionRequest& request : {by_name, by_position}) {
    std::vector<int32_t> own = early;
    SayAndCheck(Fork(request).at(0).session_id(), " but no", 6, &own);
  }
}

TEST_F(SessionsForkTest, DuringATurnAForkIsOfTheLastCommit) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once", 4, &history);
  client::Generation running = client_->Generate(TurnOn(id, " more", 60000), {});
  ASSERT_TRUE(running.Next().has_value());
  const v1::Session child = Fork(Of(id, 1)).at(0);
  EXPECT_EQ(child.position(), static_cast<int64_t>(history.size()));
}

TEST_F(SessionsForkTest, AllOrNoneAreMade) {
  ASSERT_NO_FATAL_FAILURE(Start({"--max-sessions", "3"}));
  const std::string id = Create();
  const auto refused = client_->ForkSession(Of(id, 3));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(client_->ListSessions({}).value().sessions_size(), 1);
  EXPECT_EQ(Fork(Of(id, 2)).size(), 2U);
}

TEST_F(SessionsForkTest, AnUnexpectedRevisionIsAborted) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  v1::ForkSessionRequest request = Of(id, 1);
  request.set_expected_revision(4);
  const auto refused = client_->ForkSession(request);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().reason, "REVISION_MISMATCH");
}

}  // namespace
}  // namespace ssmd::test
