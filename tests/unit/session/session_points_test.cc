// Going back, branching off, and which states are held for it.
#include "engine/session/session_points.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/errors.h"
#include "tests/support/session_table_user.h"

namespace ssmd {
namespace {

using test::MakeCommit;
using test::MakeFakeState;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

RewindTarget ToCheckpoint(const std::string& name) { return {name, {}, {}, false, {}}; }
RewindTarget ToPosition(int64_t position, bool allow_recompute = false) {
  return {"", position, {}, allow_recompute, {}};
}
RewindTarget TurnsBack(int turns, bool allow_recompute = false) {
  return {"", {}, turns, allow_recompute, {}};
}
ForkOptions FromCheckpoint(const std::string& name) { return {1, name, {}, {}, {}}; }
ForkOptions FromPosition(int64_t position) { return {1, "", position, {}, {}}; }

class SessionPointsTest : public ::testing::Test {
 protected:
  explicit SessionPointsTest(const SessionLimits& limits = {}) : user_(limits) {}
  SessionTable& table() { return user_.table(); }
  std::string Told(const absl::Status& status) {
    EXPECT_TRUE(absl::IsNotFound(status)) << status;
    EXPECT_EQ(ReasonOf(status), reason::kPointNotHeld);
    return std::string(status.message());
  }
  std::vector<int64_t> HeldTurnEnds(const std::string& id) {
    std::vector<int64_t> held;
    for (const PointInfo& end : user_.Get(id).turn_ends) {
      if (end.held) held.push_back(end.position);
    }
    return held;
  }
  // As a crash leaves it: a log's image in which no state has a name.
  std::string WithoutStates(const std::string& id) {
    for (const FrozenSession& session : table().Freeze()) {
      SessionImage image = session.Image();
      if (image.key.id != id) continue;
      image.key.id = std::string(32, 'c');
      image.state = nullptr;
      for (auto& end : image.turn_ends) end.state = nullptr;
      for (auto& checkpoint : image.checkpoints) checkpoint.point.state = nullptr;
      EXPECT_TRUE(table().Replay({image}).ok());
    }
    return std::string(32, 'c');
  }

  test::SessionTableUser user_;
};

TEST_F(SessionPointsTest, TheStartOfASessionIsItsFirstTurnEnd) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2}).ok());
  const SessionInfo info = user_.Get(id);
  ASSERT_EQ(info.turn_ends.size(), 2u);
  EXPECT_EQ(info.turn_ends[0].position, 0);
  EXPECT_EQ(info.turn_ends[0].revision, 0u);
  EXPECT_TRUE(info.turn_ends[0].held);
  EXPECT_EQ(info.turn_ends[1].position, 2);
  EXPECT_EQ(info.turn_ends[1].revision, 1u);
  EXPECT_TRUE(info.turn_ends[1].held);
}

TEST_F(SessionPointsTest, RewindGoesSoManyTurnsBack) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2}).ok());
  const StateRef first = user_.State(id);
  ASSERT_TRUE(user_.Turn(id, {3, 4}, 0).ok());
  ASSERT_TRUE(user_.Turn(id, {5}).ok());
  const auto info = user_.Rewind(id, TurnsBack(2));
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->revision, 4u);
  EXPECT_EQ(info->position, 2);
  EXPECT_EQ(info->pending_tokens, 1);
  EXPECT_THAT(user_.History(id), ElementsAre(1, 2));
  EXPECT_EQ(user_.State(id), first);
  EXPECT_THAT(HeldTurnEnds(id), ElementsAre(0, 2)) << "what is after it is gone";
  EXPECT_TRUE(absl::IsNotFound(user_.Rewind(id, TurnsBack(2)).status()));
  ASSERT_TRUE(user_.Rewind(id, TurnsBack(1)).ok());
  EXPECT_EQ(user_.Get(id).position, 0);
  EXPECT_EQ(user_.State(id), nullptr);
  EXPECT_THAT(HeldTurnEnds(id), ElementsAre(0));
}

TEST_F(SessionPointsTest, TwoTurnEndsAtOnePositionAreTwoPoints) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2}, 1).ok());
  ASSERT_TRUE(user_.Turn(id, {}, 0).ok());
  ASSERT_TRUE(user_.Turn(id, {3}).ok());
  ASSERT_TRUE(user_.Rewind(id, ToPosition(2)).ok());
  EXPECT_EQ(user_.Get(id).pending_tokens, 0) << "the newer one";
  ASSERT_TRUE(user_.Rewind(id, TurnsBack(1)).ok());
  EXPECT_EQ(user_.Get(id).position, 2);
  EXPECT_EQ(user_.Get(id).pending_tokens, 1);
}

TEST_F(SessionPointsTest, ARewindNamesExactlyOneTargetWithinTheHistory) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2}).ok());
  for (const RewindTarget& bad :
       {RewindTarget(), RewindTarget{"a", 1, {}, false, {}}, RewindTarget{"", 1, 1, false, {}},
        ToPosition(-1, true), ToPosition(3, true), TurnsBack(0), TurnsBack(-1)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(user_.Rewind(id, bad).status()));
  }
  EXPECT_TRUE(
      absl::IsInvalidArgument(table().ProposeFork("ann", id, {1, "a", 1, {}, {}}).status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(table().ProposeFork("ann", id, {0, "", {}, {}, {}}).status()));
}

TEST_F(SessionPointsTest, WhatIsNotHeldIsAnsweredWithWhatIs) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2}).ok());
  ASSERT_TRUE(user_.Checkpoint(id, "draft").ok());
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(user_.Turn(id, {i, i}).ok());
  EXPECT_THAT(Told(user_.Rewind(id, ToPosition(5)).status()),
              HasSubstr("turn ends at 0, 6, 8, 10, 12, 14; checkpoints: draft (2)"));
  EXPECT_THAT(Told(user_.Rewind(id, ToPosition(4)).status()), HasSubstr("allow_recompute"));
  EXPECT_THAT(Told(user_.Rewind(id, TurnsBack(5)).status()), HasSubstr("position 4"));
  EXPECT_THAT(Told(user_.Rewind(id, ToCheckpoint("nil")).status()), HasSubstr("draft (2)"));
  EXPECT_THAT(Told(user_.Fork(id, FromPosition(4)).status()), HasSubstr("0, 6, 8"));
  EXPECT_THAT(Told(table().Image("ann", id, "nil").status()), HasSubstr("draft (2)"));
  EXPECT_EQ(user_.Get(id).revision, 7u);
  EXPECT_TRUE(user_.Rewind(id, ToPosition(2)).ok()) << "held by the checkpoint";
}

TEST_F(SessionPointsTest, ARewindThatMayRecomputeStartsFromTheDeepestStateBelow) {
  const std::string id = user_.New();
  std::vector<StateRef> states;
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(user_.Turn(id, {i, i}).ok());
    states.push_back(user_.State(id));
  }
  ASSERT_TRUE(user_.Rewind(id, ToPosition(9, true)).ok());  // amid the fifth turn
  EXPECT_EQ(user_.Get(id).position, 9);
  EXPECT_EQ(user_.Get(id).pending_tokens, 1);
  EXPECT_EQ(user_.State(id), states[3]) << "that of position 8, which has consumed 7";
  SessionLease lease = user_.Enqueue(id);
  const auto base = lease.Begin({}, 0);
  EXPECT_EQ(base->lost_tokens(), 1);
  ASSERT_EQ(base->unread.size(), 2u);
  EXPECT_EQ(base->unread[0].token_id(), 3);
  EXPECT_EQ(base->unread[1].token_id(), 4);
  lease.Release();
  ASSERT_TRUE(user_.Rewind(id, ToPosition(4, true)).ok());
  EXPECT_EQ(user_.Get(id).state_position, 0) << "nothing so early is held";
  EXPECT_EQ(user_.Get(id).tier, StateTier::kLost);
}

TEST_F(SessionPointsTest, NoTurnBeginsOrWaitsWhileASessionGoesBack) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2}).ok());
  {
    const SessionLease lease = user_.Enqueue(id);
    EXPECT_EQ(ReasonOf(user_.Rewind(id, TurnsBack(1)).status()), reason::kSessionBusy);
  }
  int notified = 0;
  auto rewind = table().ProposeRewind("ann", id, TurnsBack(1));
  ASSERT_TRUE(rewind.ok());
  auto lease = table().Enqueue("ann", id, WhenBusy::kWait, 2, {});
  ASSERT_TRUE(lease.ok()) << "the rewind may bring that revision";
  EXPECT_FALSE(lease->AtFront());
  table().SetOnAvailable([&] { ++notified; });
  table().Apply(*std::move(rewind));
  EXPECT_EQ(notified, 1);
  EXPECT_TRUE(lease->AtFront());
  EXPECT_EQ(lease->Begin(2, 0)->position, 0);
}

TEST_F(SessionPointsTest, ACheckpointSurvivesRewindsAndDivergence) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2}).ok());
  ASSERT_TRUE(user_.Turn(id, {3, 4}).ok());
  ASSERT_TRUE(user_.Checkpoint(id, "draft").ok());
  const StateRef state = user_.State(id);
  EXPECT_EQ(user_.Get(id).revision, 2u) << "a checkpoint is no commit";
  EXPECT_EQ(user_.Get(id).state_bytes, 200);
  ASSERT_TRUE(user_.Rewind(id, TurnsBack(1)).ok());
  ASSERT_TRUE(user_.Turn(id, {8, 9, 10}).ok());
  EXPECT_THAT(user_.History(id), ElementsAre(1, 2, 8, 9, 10));

  ASSERT_TRUE(user_.Rewind(id, ToCheckpoint("draft")).ok());
  EXPECT_THAT(user_.History(id), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(user_.State(id), state);
  EXPECT_EQ(user_.Get(id).revision, 5u);
  EXPECT_THAT(HeldTurnEnds(id), ElementsAre(0, 2, 4)) << "those of the common past are kept";
  ASSERT_TRUE(user_.Checkpoint(id, "draft", true).ok());
  EXPECT_THAT(user_.Get(id).checkpoints, IsEmpty());
}

TEST_F(SessionPointsTest, APositionOfADivergedCheckpointIsNotOneOfThePresent) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2}).ok());
  ASSERT_TRUE(user_.Turn(id, {3, 4}).ok());
  ASSERT_TRUE(user_.Checkpoint(id, "draft").ok());
  ASSERT_TRUE(user_.Rewind(id, TurnsBack(1)).ok());
  ASSERT_TRUE(user_.Turn(id, {8, 9, 10, 11, 12}).ok());
  EXPECT_THAT(Told(user_.Rewind(id, ToPosition(4)).status()), HasSubstr("no turn end at position"));
  ASSERT_TRUE(user_.Rewind(id, ToPosition(4, true)).ok());
  EXPECT_THAT(user_.History(id), ElementsAre(1, 2, 8, 9));
  EXPECT_EQ(user_.Get(id).state_position, 1) << "not the checkpoint's state, which is of 3, too";
}

TEST_F(SessionPointsTest, AStoredStateOfAPastThatWasGivenUpIsNotUsed) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2}).ok());
  ASSERT_TRUE(user_.Turn(id, {3, 4, 5, 6}).ok());
  auto stored = std::static_pointer_cast<test::FakeState>(user_.State(id));
  stored->set_stored_id("file");
  ASSERT_TRUE(user_.Apply(table().ProposeStored({"ann", id}, "", stored)).ok());
  auto late = table().ProposeStored({"ann", id}, "", stored);
  ASSERT_TRUE(late.ok());
  late->Abandon();
  ASSERT_TRUE(user_.Rewind(id, TurnsBack(1)).ok());
  EXPECT_TRUE(absl::IsNotFound(table().ProposeStored({"ann", id}, "", stored).status()));
  ASSERT_TRUE(user_.Turn(id, {8, 8, 8, 8, 8}).ok());
  while (table().DropTurnEndState()) {
  }
  ASSERT_TRUE(user_.Rewind(id, ToPosition(6, true)).ok());
  EXPECT_EQ(user_.Get(id).state_position, 0);
  const std::weak_ptr<HeldState> gone = stored;
  stored.reset();
  EXPECT_TRUE(gone.expired()) << "and its file is let go";
}

TEST_F(SessionPointsTest, TheLatestStoredStateIsKeptUntilANewerOneIs) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2}).ok());
  auto first = std::static_pointer_cast<test::FakeState>(user_.State(id));
  first->set_stored_id("first");
  ASSERT_TRUE(user_.Apply(table().ProposeStored({"ann", id}, "", first)).ok());
  const std::weak_ptr<HeldState> anchor = first;
  first.reset();
  for (int i = 0; i < 70; ++i) ASSERT_TRUE(user_.Turn(id, {i}).ok());
  EXPECT_FALSE(anchor.expired());
  auto second = std::static_pointer_cast<test::FakeState>(user_.State(id));
  ASSERT_TRUE(user_.Turn(id, {7}).ok());
  second->set_stored_id("second");
  ASSERT_TRUE(user_.Apply(table().ProposeStored({"ann", id}, "", second)).ok())
      << "one turn late, but it is of this history";
  EXPECT_TRUE(anchor.expired());
  const auto unstored = table().FindUnstored(10);
  ASSERT_EQ(unstored.size(), 1u);
  EXPECT_EQ(unstored[0].replay_tokens, 1);
}

TEST_F(SessionPointsTest, FindsTheLongestReplaysFirst) {
  const std::string a = user_.New();
  const std::string b = user_.New();
  user_.New();
  ASSERT_TRUE(user_.Turn(a, std::vector<int32_t>(300, 1), 0).ok());
  ASSERT_TRUE(user_.Turn(b, {1, 2, 3}, 0).ok());
  ASSERT_TRUE(user_.Checkpoint(b, "same").ok());
  ASSERT_TRUE(user_.Turn(b, {4, 5}, 1).ok());
  ASSERT_TRUE(user_.Checkpoint(b, "present").ok());
  user_.Advance(7);
  auto found = table().FindUnstored(10);
  ASSERT_EQ(found.size(), 3u) << "a checkpoint of the present has the same state";
  EXPECT_EQ(found[0].key.id, a);
  EXPECT_EQ(found[0].replay_tokens, 300);
  EXPECT_EQ(found[0].history_hash, user_.Get(a).history_hash);
  EXPECT_EQ(found[0].idle_ms, 7);
  EXPECT_EQ(found[1].key.id, b);
  EXPECT_EQ(found[1].replay_tokens, 4);
  EXPECT_EQ(found[2].checkpoint, "same");
  EXPECT_EQ(found[2].state->position, 3);
  EXPECT_EQ(table().FindUnstored(1).size(), 1u);

  for (auto& unstored : found) {
    std::static_pointer_cast<test::FakeState>(unstored.state)->set_stored_id("x");
    ASSERT_TRUE(
        user_.Apply(table().ProposeStored(unstored.key, unstored.checkpoint, unstored.state)).ok());
  }
  EXPECT_THAT(table().FindUnstored(10), IsEmpty());
  EXPECT_TRUE(
      absl::IsNotFound(table().ProposeStored({"ann", b}, "same", MakeFakeState(3)).status()));
  EXPECT_TRUE(absl::IsNotFound(table().ProposeStored({"ann", b}, "", nullptr).status()));
}

// Making room in memory stores states without a word to the log.
TEST_F(SessionPointsTest, AStoredStateIsOwedToTheLogUntilARecordNamesIt) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2, 3}, 0).ok());
  const auto marked = std::static_pointer_cast<test::FakeState>(user_.State(id));
  ASSERT_TRUE(user_.Checkpoint(id, "mark").ok());
  ASSERT_TRUE(user_.Turn(id, {4}, 1).ok());
  const auto own = std::static_pointer_cast<test::FakeState>(user_.State(id));
  ASSERT_EQ(own->position, marked->position);
  marked->set_stored_id("marked");
  own->set_stored_id("own");
  const auto owed = table().FindUnstored(10);
  ASSERT_EQ(owed.size(), 2u);
  for (const auto& state : owed) {
    ASSERT_TRUE(user_.Apply(table().ProposeStored(state.key, state.checkpoint, state.state)).ok());
  }
  EXPECT_THAT(table().FindUnstored(10), IsEmpty());
  // A checkpoint of a state that a record has named already owes nothing, then or later.
  ASSERT_TRUE(user_.Checkpoint(id, "later").ok());
  ASSERT_TRUE(user_.Turn(id, {5}, 1).ok());
  ASSERT_EQ(table().FindUnstored(10).size(), 1u);
  EXPECT_TRUE(table().FindUnstored(10)[0].checkpoint.empty());
}

// The record of a commit, a fork or a rewind may be written before a state gets its name in the
// store, and applied after that.
TEST_F(SessionPointsTest, AStateThatIsStoredWhileItsRecordIsWrittenIsOwedToTheLog) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2, 3}).ok());
  const auto owed = [&] {
    std::vector<std::string> ids;
    for (const auto& unstored : table().FindUnstored(10)) {
      ids.push_back(unstored.state->stored_id());
    }
    return ids;
  };
  SessionLease lease = user_.Enqueue(id);
  const auto base = lease.Begin(std::nullopt, 0);
  ASSERT_TRUE(base.ok());
  const auto state = MakeFakeState(4);
  SessionCommit commit = MakeCommit({4, 5}, 1, state);
  std::optional<TurnResult> result;
  auto proposal = table().ProposeCommit(&lease, &commit, &result);
  ASSERT_TRUE(proposal.ok());
  state->set_stored_id("commit");
  table().Apply(*std::move(proposal));
  EXPECT_THAT(owed(), ElementsAre("commit"));

  ASSERT_TRUE(user_.Fork(id).ok());
  EXPECT_THAT(owed(), ElementsAre("commit", "commit")) << "the child's, too";

  ASSERT_TRUE(user_.Apply(table().ProposeStored({"ann", id}, "", user_.State(id))).ok());
  ASSERT_TRUE(user_.Turn(id, {6}).ok());
  std::static_pointer_cast<test::FakeState>(user_.State(id))->set_stored_id("turn end");
  ASSERT_TRUE(user_.Turn(id, {7}).ok());
  ASSERT_TRUE(user_.Rewind(id, TurnsBack(1)).ok());
  EXPECT_THAT(owed(), UnorderedElementsAre("commit", "turn end"));
}

TEST_F(SessionPointsTest, ForkSharesTheStateAndNothingElse) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2, 3}).ok());
  user_.Advance(3);
  auto proposal = table().ProposeFork("ann", id, {3, "", {}, {}, {77, 0}});
  ASSERT_TRUE(proposal.ok());
  EXPECT_EQ(table().CountOf("model"), 1);
  const auto children = table().Apply(*std::move(proposal));
  ASSERT_EQ(children.size(), 3u);
  for (const SessionInfo& child : children) {
    EXPECT_EQ(child.revision, 1u);
    EXPECT_EQ(child.position, 3);
    EXPECT_EQ(child.pending_tokens, 1);
    EXPECT_EQ(child.parent_id, id);
    EXPECT_EQ(child.parent_position, 3);
    EXPECT_EQ(child.created_unix_ms, 1700000000003);
    EXPECT_EQ(child.expires_unix_ms, 1700000000080);
    EXPECT_EQ(user_.State(child.session_id), user_.State(id));
    ASSERT_EQ(child.turn_ends.size(), 1u);
  }
  ASSERT_TRUE(user_.Turn(children[0].session_id, {4}).ok());
  ASSERT_TRUE(user_.Turn(children[1].session_id, {5}).ok());
  EXPECT_THAT(user_.History(children[0].session_id), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(user_.History(children[1].session_id), ElementsAre(1, 2, 3, 5));
  EXPECT_THAT(user_.History(id), ElementsAre(1, 2, 3));
  ASSERT_TRUE(user_.Delete(id).ok());
  EXPECT_EQ(user_.Get(children[2].session_id).parent_id, id);
  ASSERT_TRUE(user_.Rewind(children[0].session_id, TurnsBack(1)).ok()) << "to where it began";
  EXPECT_EQ(user_.Get(children[0].session_id).position, 3);
}

TEST_F(SessionPointsTest, AForksStateIsItsOwnToRecordThoughItsParentStoredIt) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2, 3}).ok());
  const std::string child = user_.Fork(id)->session_id;
  const auto state = std::static_pointer_cast<test::FakeState>(user_.State(id));
  state->set_stored_id("file");
  ASSERT_TRUE(user_.Apply(table().ProposeStored({"ann", id}, "", state)).ok());
  const auto unstored = table().FindUnstored(10);
  ASSERT_EQ(unstored.size(), 1u);
  EXPECT_EQ(unstored[0].key.id, child);
  EXPECT_EQ(unstored[0].state->stored_id(), "file");
  ASSERT_TRUE(user_.Apply(table().ProposeStored({"ann", child}, "", state)).ok());
  EXPECT_THAT(table().FindUnstored(10), IsEmpty());
  ASSERT_TRUE(user_.Fork(id).ok());
  EXPECT_THAT(table().FindUnstored(10), IsEmpty()) << "its fork was recorded with the name";
}

TEST_F(SessionPointsTest, ForksStartAtCheckpointsAndAtHeldPositions) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2}).ok());
  const StateRef at_two = user_.State(id);
  ASSERT_TRUE(user_.Turn(id, {3, 4}, 0).ok());
  ASSERT_TRUE(user_.Checkpoint(id, "draft").ok());
  const StateRef at_four = user_.State(id);
  ASSERT_TRUE(user_.Rewind(id, TurnsBack(1)).ok());
  ASSERT_TRUE(user_.Turn(id, {8}).ok());

  const std::string from_draft = user_.Fork(id, FromCheckpoint("draft"))->session_id;
  EXPECT_THAT(user_.History(from_draft), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(user_.Get(from_draft).pending_tokens, 0);
  EXPECT_EQ(user_.State(from_draft), at_four);
  const std::string from_two = user_.Fork(id, FromPosition(2))->session_id;
  EXPECT_THAT(user_.History(from_two), ElementsAre(1, 2));
  EXPECT_EQ(user_.State(from_two), at_two);
  const std::string from_nothing = user_.Fork(id, FromPosition(0))->session_id;
  EXPECT_EQ(user_.Get(from_nothing).position, 0);
  EXPECT_EQ(user_.State(from_nothing), nullptr);
}

TEST_F(SessionPointsTest, ChildrenOfATurnCarryTheHistoryAndLeaveTheParentAsItIs) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2}).ok());
  SessionLease lease = *table().Enqueue("ann", id, WhenBusy::kWait, {}, {"r", 1});
  ASSERT_TRUE(lease.Begin({}, 0).ok());
  auto room = table().Reserve("ann", "model", 2);
  std::vector<SessionCommit> commits;
  commits.push_back(MakeCommit({3, 4}, 1, MakeFakeState(3)));
  commits.push_back(MakeCommit({5}, 0, MakeFakeState(3)));
  std::optional<TurnResult> result(test::MakeResult({"r", 1}));
  result->choices.resize(2);
  auto proposal = table().ProposeChildren(&lease, &*room, &commits, &result);
  ASSERT_TRUE(proposal.ok()) << proposal.status();
  const auto children = table().Apply(*std::move(proposal));
  ASSERT_EQ(children.size(), 2u);
  EXPECT_THAT(user_.History(children[0].session_id), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(user_.History(children[1].session_id), ElementsAre(1, 2, 5));
  EXPECT_EQ(children[1].pending_tokens, 0);
  EXPECT_EQ(children[0].revision, 1u);
  EXPECT_EQ(result->choices[0].session_id, children[0].session_id);
  EXPECT_EQ(result->choices[1].session_id, children[1].session_id);
  EXPECT_EQ(result->choices[1].revision, 1u);
  const SessionInfo parent = user_.Get(id);
  EXPECT_EQ(parent.revision, 1u);
  EXPECT_EQ(parent.position, 2);
  EXPECT_FALSE(parent.running);
  const auto retry = table().FindRequest("ann", id, {"r", 1});
  ASSERT_TRUE(std::holds_alternative<TurnResult>(*retry));
  EXPECT_EQ(std::get<TurnResult>(*retry).choices[0].session_id, children[0].session_id);
}

TEST_F(SessionPointsTest, AllChildrenOrNoneWhenTheParentIsGone) {
  const std::string id = user_.New();
  SessionLease lease = user_.Enqueue(id);
  auto room = table().Reserve("ann", "model", 2);
  ASSERT_TRUE(user_.Delete(id).ok());
  std::vector<SessionCommit> commits(2);
  std::optional<TurnResult> result;
  EXPECT_TRUE(
      absl::IsCancelled(table().ProposeChildren(&lease, &*room, &commits, &result).status()));
  EXPECT_EQ(table().CountOf("model"), 0);
}

TEST_F(SessionPointsTest, SixtyFourTurnEndsAreKnownAndFourAreHeld) {
  const std::string id = user_.New();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(user_.Turn(id, {i}, 0).ok());
  const SessionInfo info = user_.Get(id);
  EXPECT_EQ(info.turn_ends.size(), 65u) << "with the present";
  EXPECT_EQ(info.turn_ends.front().position, 36);
  EXPECT_THAT(HeldTurnEnds(id), ElementsAre(96, 97, 98, 99, 100));
  EXPECT_EQ(info.state_bytes, 100) << "turn ends are counted apart";
}

TEST_F(SessionPointsTest, TheTurnEndThatWasUsedLongestAgoGoesFirst) {
  const std::string a = user_.New();
  const std::string b = user_.New();
  ASSERT_TRUE(user_.Turn(a, {1}, 0).ok());
  ASSERT_TRUE(user_.Turn(a, {2}, 0).ok());  // a's end at 1
  ASSERT_TRUE(user_.Turn(b, {1}, 0).ok());
  ASSERT_TRUE(user_.Turn(b, {2}, 0).ok());  // b's end at 1
  ASSERT_TRUE(user_.Fork(a, FromPosition(1)).ok());
  EXPECT_TRUE(table().DropTurnEndState());
  EXPECT_THAT(HeldTurnEnds(a), ElementsAre(0, 1, 2)) << "used by the fork";
  EXPECT_THAT(HeldTurnEnds(b), ElementsAre(0, 2));
  EXPECT_TRUE(table().DropTurnEndState());
  EXPECT_FALSE(table().DropTurnEndState());
  EXPECT_THAT(HeldTurnEnds(a), ElementsAre(0, 2));
}

class FewTurnEndBytesTest : public SessionPointsTest {
 protected:
  FewTurnEndBytesTest() : SessionPointsTest(Limits()) {}
  static SessionLimits Limits() {
    SessionLimits limits;
    limits.turn_end_bytes = 300;
    return limits;
  }
};

TEST_F(FewTurnEndBytesTest, TurnEndStatesOfAllSessionsShareABudget) {
  const std::string a = user_.New();
  const std::string b = user_.New();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(user_.Turn(a, {i}, 0).ok());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(user_.Turn(b, {i}, 0).ok());
  EXPECT_THAT(HeldTurnEnds(a), ElementsAre(0, 2, 3));
  EXPECT_THAT(HeldTurnEnds(b), ElementsAre(0, 1, 2, 3));
  ASSERT_TRUE(user_.Delete(b).ok());
  ASSERT_TRUE(user_.Turn(a, {4}, 0).ok());
  ASSERT_TRUE(user_.Turn(a, {5}, 0).ok());
  EXPECT_THAT(HeldTurnEnds(a), ElementsAre(0, 2, 3, 4, 5)) << "deletion gives its share back";
}

TEST_F(SessionPointsTest, AfterACrashPointsAreKnownButNotHeld) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2}, 0).ok());
  ASSERT_TRUE(user_.Checkpoint(id, "draft").ok());
  ASSERT_TRUE(user_.Turn(id, {3, 4}, 0).ok());
  const std::string crashed = WithoutStates(id);
  SessionInfo info = user_.Get(crashed);
  EXPECT_EQ(info.tier, StateTier::kLost);
  EXPECT_EQ(info.state_position, 0);
  EXPECT_FALSE(info.checkpoints[0].held);
  EXPECT_TRUE(absl::IsNotFound(user_.Rewind(crashed, ToCheckpoint("draft")).status()));
  EXPECT_TRUE(absl::IsNotFound(user_.Rewind(crashed, TurnsBack(1)).status()));
  {
    SessionLease lease = user_.Enqueue(crashed);
    const auto base = lease.Begin({}, 0);
    EXPECT_EQ(base->lost_tokens(), 4);
    EXPECT_EQ(base->unread.size(), 4u);
  }
  EXPECT_EQ(user_.Get(user_.Fork(crashed, FromCheckpoint("draft"))->session_id).position, 2)
      << "a fork feeds again what a crash took";
  // A state that turns up in the log is given to every point that it fits.
  ASSERT_TRUE(
      table().Replay({StateStored{{"ann", crashed}, 2, "", MakeFakeState(2, 100, "file")}}).ok());
  info = user_.Get(crashed);
  EXPECT_EQ(info.state_position, 2);
  EXPECT_TRUE(info.checkpoints[0].held);
  ASSERT_TRUE(user_.Rewind(crashed, ToCheckpoint("draft")).ok());
  EXPECT_EQ(user_.Get(crashed).state_position, 2);
}

}  // namespace
}  // namespace ssmd
