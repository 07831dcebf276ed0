// Going back: to turn ends, to checkpoints, and to where nothing is held.
#include <gmock/gmock.h>

#include "tests/e2e/session_fixture.h"

namespace ssmd::test {
namespace {

using ::testing::HasSubstr;

class SessionsRewindTest : public SessionFixture {
 protected:
  static v1::RewindSessionRequest Of(const std::string& id) {
    v1::RewindSessionRequest request;
    request.set_session_id(id);
    return request;
  }
  v1::Session Checkpoint(const std::string& id, const std::string& name, bool remove = false) {
    v1::CheckpointSessionRequest request;
    request.set_session_id(id);
    request.set_name(name);
    if (remove) request.set_remove(true);
    const auto session = client_->CheckpointSession(request);
    if (session.ok()) return session.value();
    ADD_FAILURE() << client::ToString(session.error());
    return {};
  }
};

TEST_F(SessionsRewindTest, TurnsAreTakenBack) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once upon a time", 5, &history);
  std::vector<int32_t> early = history;
  SayAndCheck(id, " a dog", 5, &history);
  v1::RewindSessionRequest request = Of(id);
  request.set_turns(1);
  const auto back = client_->RewindSession(request);
  ASSERT_TRUE(back.ok()) << client::ToString(back.error());
  EXPECT_EQ(back.value().position(), static_cast<int64_t>(early.size()));
  EXPECT_EQ(back.value().revision(), 3U) << "going back is a change, too";
  const Turn turn = SayAndCheck(id, " a cat", 5, &early);
  EXPECT_EQ(turn.final.usage().recomputed_tokens(), 0);
}

TEST_F(SessionsRewindTest, ACheckpointCanBeComeBackToAgainAndAgain) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  std::vector<int32_t> early;
  SayAndCheck(id, "Once upon a time", 5, &early);
  EXPECT_EQ(Checkpoint(id, "storm").checkpoints(0).name(), "storm");
  for (const char* text : {" a dog", " a cat", " a bird"}) {
    std::vector<int32_t> own = early;
    SayAndCheck(id, text, 4, &own);
    v1::RewindSessionRequest request = Of(id);
    request.set_checkpoint("storm");
    ASSERT_TRUE(client_->RewindSession(request).ok());
    EXPECT_EQ(Get(id).position(), static_cast<int64_t>(early.size()));
  }
  EXPECT_EQ(Checkpoint(id, "storm", true).checkpoints_size(), 0);
  v1::RewindSessionRequest request = Of(id);
  request.set_checkpoint("storm");
  const auto gone = client_->RewindSession(request);
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(gone.error().code, grpc::StatusCode::NOT_FOUND);
}

TEST_F(SessionsRewindTest, WhereNothingIsHeldThePositionsAreListedOrTheHistoryReadAgain) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once upon a time", 5, &history);
  const auto held = static_cast<int64_t>(history.size());
  SayAndCheck(id, " there was a little", 9, &history);
  v1::RewindSessionRequest request = Of(id);
  request.set_position(held + 2);
  const auto refused = client_->RewindSession(request);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(refused.error().message, HasSubstr(std::to_string(held)));
  request.set_allow_recompute(true);
  ASSERT_TRUE(client_->RewindSession(request).ok());
  history.resize(static_cast<size_t>(held) + 2);
  const Turn turn = SayAndCheck(id, " bird", 6, &history);
  EXPECT_GT(turn.final.usage().recomputed_tokens(), 0);
  EXPECT_EQ(turn.final.state_source(), v1::STATE_SOURCE_REPLAYED);
}

TEST_F(SessionsRewindTest, APositionPastThePresentIsRefused) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  v1::RewindSessionRequest request = Of(id);
  request.set_position(1);
  request.set_allow_recompute(true);
  const auto refused = client_->RewindSession(request);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(SessionsRewindTest, DuringATurnThereIsNoGoingBack) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  std::vector<int32_t> history;
  SayAndCheck(id, "Once", 4, &history);
  client::Generation running = client_->Generate(TurnOn(id, " more", 60000), {});
  ASSERT_TRUE(running.Next().has_value());
  v1::RewindSessionRequest request = Of(id);
  request.set_position(0);
  const auto refused = client_->RewindSession(request);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, grpc::StatusCode::ABORTED);
}

}  // namespace
}  // namespace ssmd::test
