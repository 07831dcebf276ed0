// States that went to the disk because their memory was needed: a restart finds them, and nothing
// is read again.
#include <algorithm>

#include "tests/fault/ledger.h"
#include "tests/fault/state_dir_fixture.h"
#include "tests/support/eventually.h"

namespace ssmd::test {
namespace {

constexpr int kMovedAnswerTokens = 4;
constexpr size_t kSessions = 24;  // far more than the slots and the host memory below

class MovedStatesTest : public StateDirFixture {
 protected:
  // Nothing is stored for having been idle.
  void StartSmall() {
    Start({"--state-slots", "3", "--host-state-bytes", "0", "--prefix-cache-bytes", "0",
           "--turn-end-bytes", "0", "--store-after", "3600"});
  }
  void Say(Ledger* ledger) {
    const std::vector<int32_t> prompt = {10, 20};
    const Turn turn = RunTurn(*client_, TurnRequest(ledger->id, prompt, kMovedAnswerTokens));
    ASSERT_FALSE(turn.error) << turn.Describe();
    AppendTurn(prompt, turn.only().ids, &ledger->history);
  }
  Ledger Created(int32_t first) {
    const auto session = client_->CreateSession("");
    EXPECT_TRUE(session.ok());
    Ledger ledger{session.value().session_id(), 0, {}, {}};
    AppendTurn({first}, {}, &ledger.history);
    const Turn turn = RunTurn(*client_, TurnRequest(ledger.id, {first}, kMovedAnswerTokens));
    EXPECT_FALSE(turn.error) << turn.Describe();
    AppendTurn({}, turn.only().ids, &ledger.history);
    return ledger;
  }
  v1::StateTier TierOf(const Ledger& ledger) {
    return client_->GetSession(ledger.id).value().tier();
  }
};

TEST_F(MovedStatesTest, AreFoundAfterAKill) {
  ASSERT_NO_FATAL_FAILURE(StartSmall());
  std::vector<Ledger> sessions;
  for (size_t i = 0; i < kSessions; ++i) sessions.push_back(Created(static_cast<int32_t>(30 + i)));
  std::vector<Ledger> moved;
  // There are records of creations and commits, and of each state that the store has.
  ASSERT_TRUE(Eventually(
      [&] {
        moved.clear();
        std::copy_if(sessions.begin(), sessions.end(), std::back_inserter(moved),
                     [&](const Ledger& ledger) { return TierOf(ledger) == v1::STATE_TIER_DISK; });
        const v1::StateDirStats stats = client_->GetStats().value().state_dir();
        return stats.log_records() == static_cast<int64_t>(2 * kSessions) + stats.stored_states();
      },
      kPatience));
  ASSERT_GT(moved.size(), kSessions / 3);
  ASSERT_NO_FATAL_FAILURE(Kill());
  ASSERT_NO_FATAL_FAILURE(StartSmall());
  for (const Ledger& ledger : moved) {
    EXPECT_EQ(TierOf(ledger), v1::STATE_TIER_DISK);
    const Turn turn = RunTurn(*client_, TurnRequest(ledger.id, {7}, kMovedAnswerTokens));
    ASSERT_FALSE(turn.error) << turn.Describe();
    EXPECT_EQ(turn.final.state_source(), v1::STATE_SOURCE_DISK);
    EXPECT_EQ(turn.final.usage().recomputed_tokens(), 0);
  }
}

TEST_F(MovedStatesTest, OfCheckpointsAreFoundAfterARestart) {
  ASSERT_NO_FATAL_FAILURE(StartSmall());
  std::vector<Ledger> sessions;
  for (size_t i = 0; i < kSessions; ++i) {
    sessions.push_back(Created(static_cast<int32_t>(30 + i)));
    v1::CheckpointSessionRequest mark;
    mark.set_session_id(sessions.back().id);
    mark.set_name(kMarkName);
    ASSERT_TRUE(client_->CheckpointSession(mark).ok());
    ASSERT_NO_FATAL_FAILURE(Say(&sessions.back()));
  }
  ASSERT_NO_FATAL_FAILURE(End());
  ASSERT_NO_FATAL_FAILURE(StartSmall());
  for (const Ledger& ledger : sessions) {
    v1::RewindSessionRequest back;
    back.set_session_id(ledger.id);
    back.set_checkpoint(kMarkName);
    const auto rewound = client_->RewindSession(back);
    ASSERT_TRUE(rewound.ok()) << client::ToString(rewound.error());
    const Turn turn = RunTurn(*client_, TurnRequest(ledger.id, {7}, kMovedAnswerTokens));
    ASSERT_FALSE(turn.error) << turn.Describe();
    EXPECT_EQ(turn.final.usage().recomputed_tokens(), 0);
  }
}

}  // namespace
}  // namespace ssmd::test
