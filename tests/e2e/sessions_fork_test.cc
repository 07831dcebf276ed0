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

// Each of a hundred children goes on in its own way; half of them draw with a seed.
v1::GenerateRequest HundredthPart(int part, int tokens) {
  v1::GenerateRequest request = part % 2 == 0
                                    ? GreedyRequest("", tokens)
                                    : SeededRequest("", tokens, static_cast<uint64_t>(part));
  SetTokens({100 + part, 7, 200 + part}, &request);
  request.set_logprobs(2);
  return request;
}

std::vector<std::string> Bits(const std::vector<v1::TokenDetail>& details) {
  std::vector<std::string> bits;
  bits.reserve(details.size());
  for (const v1::TokenDetail& detail : details) bits.push_back(detail.SerializeAsString());
  return bits;
}

TEST_F(SessionsForkTest, AHundredAtOnceEqualAHundredSeparatePrefillsBitForBit) {
  constexpr int kTokens = 24;  // fewer than what the server keeps for a reader who looks away
  ASSERT_NO_FATAL_FAILURE(Start({"--prefix-cache-bytes", "0"}));
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once upon a time there was a little dog who could not sleep.", 9, &history);
  const std::vector<v1::Session> children = Fork(Of(id, 100));
  ASSERT_EQ(children.size(), 100U);

  // All of them are under way before the first is read.
  std::vector<client::Generation> running;
  for (int part = 0; part < 100; ++part) {
    v1::GenerateRequest request = HundredthPart(part, kTokens);
    request.set_session_id(children[static_cast<size_t>(part)].session_id());
    running.push_back(client_->Generate(request, {}));
  }
  for (int part = 0; part < 100; ++part) {
    const Turn child = ReadTurn(&running[static_cast<size_t>(part)]);
    ASSERT_FALSE(child.error) << child.Describe();
    v1::GenerateRequest request = HundredthPart(part, kTokens);
    std::vector<int32_t> all = history;
    Append({request.token_ids().ids().begin(), request.token_ids().ids().end()}, &all);
    SetTokens(all, &request);
    const Turn alone = RunTurn(*client_, request);
    ASSERT_FALSE(alone.error) << alone.Describe();
    EXPECT_EQ(alone.final.usage().reused_tokens(), 0);
    EXPECT_EQ(child.final.usage().reused_tokens(), static_cast<int64_t>(history.size()) - 1);
    ASSERT_EQ(child.only().ids.size(), static_cast<size_t>(kTokens));
    EXPECT_EQ(child.only().ids, alone.only().ids) << "child " << part;
    EXPECT_EQ(Bits(child.only().logprobs), Bits(alone.only().logprobs)) << "child " << part;
  }
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
