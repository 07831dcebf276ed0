#include "engine/shared/session_sharing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/support/forwarding_shared_store.h"
#include "tests/unit/shared/sharing_fixture.h"

namespace ssmd {
namespace {

using test::Eventually;
using test::Node;
using test::SharingTest;
using ::testing::Contains;
using ::testing::ElementsAre;

constexpr char kAbsent[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

// --- From one to another ---

TEST_F(SharingTest, ASessionGoesToWhoeverUsesIt) {
  const auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2, 3}).ok());
  const auto info = b->Turn(id, {4, 5});
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->revision, 2u);
  EXPECT_THAT(b->History(id), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_FALSE(a->Has(id));
  EXPECT_THAT(a->gone(), Contains(id));
  ASSERT_TRUE(a->Turn(id, {6}).ok());
  EXPECT_THAT(a->History(id), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(a->sharing().figures().claimed, 1);
  EXPECT_EQ(a->sharing().figures().taken_over, 0);
}

TEST_F(SharingTest, ItsStatesComeAlong) {
  const auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2, 3}).ok());
  ASSERT_TRUE(a->Write(a->table().ProposeCheckpoint("ann", id, {"draft", false, {}})).ok());
  ASSERT_TRUE(a->Turn(id, {4, 5}).ok());
  ASSERT_TRUE(b->Hold(id).ok());
  EXPECT_EQ(b->StatePosition(id), 4);
  const auto back = b->Write(b->table().ProposeRewind("ann", id, {"draft", {}, {}, false, {}}));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(b->StatePosition(id), 2);
  EXPECT_THAT(b->History(id), ElementsAre(1, 2, 3));
}

TEST_F(SharingTest, ResultsComeAlongSoThatARetryIsNotApplied) {
  const auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  const RequestKey key{"request", 7};
  ASSERT_TRUE(a->Turn(id, {1, 2}, Durability::kReplicated, key).ok());
  ASSERT_TRUE(b->Hold(id).ok());
  const auto found = b->table().FindRequest("ann", id, key);
  ASSERT_TRUE(found.ok());
  const auto* result = std::get_if<TurnResult>(&*found);
  ASSERT_NE(result, nullptr);
  EXPECT_EQ(result->choices.at(0).text, "answer");
  EXPECT_TRUE(absl::IsAlreadyExists(b->table().FindRequest("ann", id, {"request", 8}).status()));
}

TEST_F(SharingTest, ChildrenAreSessionsOfTheirOwn) {
  const auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2, 3}).ok());
  const auto child = a->Write(a->table().ProposeFork("ann", id, {}));
  ASSERT_TRUE(child.ok());
  ASSERT_TRUE(b->Turn(child->session_id, {9}).ok());
  EXPECT_THAT(b->History(child->session_id), ElementsAre(1, 2, 3, 9));
  EXPECT_EQ(b->table().Get("ann", child->session_id)->parent_id, id);
  EXPECT_TRUE(a->Has(id));
}

TEST_F(SharingTest, AForeignSessionLooksLikeAnAbsentOne) {
  const auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  for (Node* node : {a.get(), b.get()}) {
    const absl::Status foreign = node->Hold(id, "bob").status();
    const absl::Status absent = node->Hold(kAbsent, "ann").status();
    EXPECT_TRUE(absl::IsNotFound(foreign)) << foreign;
    EXPECT_EQ(ReasonOf(foreign), ReasonOf(absent));
    EXPECT_TRUE(absl::IsNotFound(absent)) << absent;
  }
  EXPECT_TRUE(absl::IsNotFound(b->Hold("no id").status()));
  EXPECT_TRUE(a->Has(id));
}

TEST_F(SharingTest, ADeletedSessionIsNowhere) {
  const auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
  ASSERT_TRUE(a->Write(a->table().ProposeDelete("ann", id, {}, nullptr)).ok());
  EXPECT_TRUE(absl::IsNotFound(b->Hold(id).status()));
  EXPECT_TRUE(absl::IsNotFound(a->Hold(id).status()));
}

// --- Whose it is ---

TEST_F(SharingTest, WhatIsHeldStaysUntilItIsLetGo) {
  limits_.patience = std::chrono::milliseconds(100);
  const auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  auto hold = a->Hold(id);
  ASSERT_TRUE(hold.ok());
  const absl::Status refused = b->Hold(id).status();
  EXPECT_TRUE(absl::IsUnavailable(refused)) << refused;
  EXPECT_EQ(ReasonOf(refused), reason::kSessionElsewhere);
  EXPECT_TRUE(RetryAfterOf(refused).has_value());
  EXPECT_TRUE(a->Has(id));
  hold->Release();
  EXPECT_TRUE(Eventually([&] { return b->Hold(id).ok(); }));
}

TEST_F(SharingTest, ASessionIsNotGivenUpDuringItsTurn) {
  limits_.patience = std::chrono::milliseconds(100);
  const auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  {
    const auto lease = a->table().Enqueue("ann", id, WhenBusy::kAbort, {}, {});
    ASSERT_TRUE(lease.ok());
    EXPECT_TRUE(absl::IsUnavailable(b->Hold(id).status()));
    EXPECT_TRUE(a->Has(id));
  }
  EXPECT_TRUE(Eventually([&] { return b->Hold(id).ok(); }));
}

// The turn is over, and what it changed is not noted yet.
TEST_F(SharingTest, ASessionGoesWithWhatHasJustChanged) {
  for (const Durability durability : {Durability::kProcess, Durability::kReplicated}) {
    const auto a = Start(1);
    const auto b = Start(2);
    const std::string id = a->New();
    ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
    std::thread asks;
    a->local().set_when_applied([&] {
      if (asks.joinable()) return;  // the other's own change
      asks = std::thread([&] { EXPECT_TRUE(b->Hold(id).ok()); });
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      EXPECT_FALSE(b->Has(id));
    });
    EXPECT_TRUE(a->Turn(id, {3}, durability).ok());
    asks.join();
    EXPECT_THAT(b->History(id), ElementsAre(1, 2, 3));
  }
}

// What it changed then would be left behind.
TEST_F(SharingTest, ASessionThatIsBeingGivenUpDoesNotChange) {
  test::ForwardingSharedStore store(&store_);
  Node a(1, &store, limits_);
  a.Start();
  const auto b = Start(2);
  const std::string id = a.New();
  ASSERT_TRUE(a.Turn(id, {1, 2}).ok());
  absl::Status refused;
  store.set_before_giving_up([&] {
    refused = a.Write(a.table().ProposeCheckpoint("ann", id, {"late", false, {}})).status();
  });
  ASSERT_TRUE(b->Hold(id).ok());
  EXPECT_EQ(ReasonOf(refused), reason::kSessionMoved) << refused;
  EXPECT_TRUE(b->table().Get("ann", id)->checkpoints.empty());
}

TEST_F(SharingTest, WithoutRoomASessionStaysForOthers) {
  const auto a = Start(1);
  const auto b = Start(2);
  const auto c = Start(3);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
  b->set_full(true);
  EXPECT_TRUE(absl::IsResourceExhausted(b->Hold(id).status()));
  EXPECT_TRUE(c->Hold(id).ok());
  EXPECT_THAT(c->History(id), ElementsAre(1, 2));
}

TEST_F(SharingTest, WithoutRoomForItsStateASessionGoesWithoutIt) {
  test::ForwardingSharedStore store(&store_);
  store.set_no_room_for_states();
  Node a(1, &store, limits_);
  a.Start();
  const auto b = Start(2);
  const std::string id = a.New();
  ASSERT_TRUE(a.Turn(id, {1, 2}).ok());
  ASSERT_TRUE(b->Hold(id).ok());
  EXPECT_THAT(b->History(id), ElementsAre(1, 2));
  EXPECT_EQ(b->StatePosition(id), 0);

  const std::string other = a.New();
  ASSERT_TRUE(a.Turn(other, {3, 4}).ok());
  EXPECT_EQ(a.sharing().Leave(std::chrono::steady_clock::now() + std::chrono::minutes(1)),
            absl::OkStatus());
  EXPECT_TRUE(b->Hold(other).ok());
}

// Nobody is known there just then, and nobody is dead.
TEST_F(SharingTest, AStoreThatWasEmptiedIsNoReasonToTakeOver) {
  const auto a = Start(1);
  const auto b = Start(2);
  auto c = Start(3);
  const std::string of_the_dead = c->New();
  c.reset();
  ASSERT_TRUE(b->Hold(of_the_dead).ok());
  ASSERT_EQ(b->sharing().figures().taken_over, 1);  // it may, by now
  store_.Restore({});
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}, Durability::kProcess).ok());
  ASSERT_TRUE(b->Turn(id, {3}).ok());
  EXPECT_THAT(b->History(id), ElementsAre(1, 2, 3));
  EXPECT_EQ(b->sharing().figures().taken_over, 1);
  EXPECT_EQ(a->sharing().figures().lost, 0);
}

TEST_F(SharingTest, WhatAStoreHasLostIsAbsentOnlyWhenItsOwnerHadTimeToSayOtherwise) {
  limits_.presence = std::chrono::seconds(2);
  const auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
  ASSERT_TRUE(absl::IsNotFound(b->Hold(kAbsent).status()));  // so that it believes the store
  store_.Restore({});
  const auto hold = b->Hold(id);
  ASSERT_TRUE(hold.ok()) << hold.status();
  EXPECT_THAT(b->History(id), ElementsAre(1, 2));
}

TEST_F(SharingTest, WhoHadTheSessionTakenLosesIt) {
  limits_.state_after = std::chrono::hours(1);  // nothing but the turn writes
  limits_.presence = std::chrono::hours(1);     // nor says that it is there
  const auto a = Start(1);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
  ASSERT_TRUE(Eventually([&] { return a->sharing().figures().present; }));
  // As if it had been cut off for so long that it counts as dead.
  ASSERT_TRUE(store_.Leave(a->self()).ok());
  const auto claim = store_.TryClaim(ReplicaNo(9), {"ann", id}, true);
  ASSERT_TRUE(claim.ok() && std::holds_alternative<SharedSession>(*claim));
  const absl::Status lost = a->Turn(id, {3}).status();
  EXPECT_TRUE(absl::IsUnavailable(lost)) << lost;
  EXPECT_EQ(ReasonOf(lost), reason::kSessionMoved);
  EXPECT_FALSE(a->Has(id));
  EXPECT_THAT(a->gone(), Contains(id));
  EXPECT_EQ(a->sharing().figures().lost, 1);
}

// --- Ends ---

TEST_F(SharingTest, WhoLeavesGivesEverythingUp) {
  auto a = Start(1);
  const auto b = Start(2);
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) {
    ids.push_back(a->New());
    ASSERT_TRUE(a->Turn(ids.back(), {i, i + 1}, Durability::kProcess).ok());
  }
  ASSERT_TRUE(a->sharing().Leave(std::chrono::steady_clock::now() + std::chrono::minutes(1)).ok());
  EXPECT_EQ(a->sharing().figures().sessions, 0);
  EXPECT_EQ(a->sharing().figures().given_up, 20);
  EXPECT_TRUE(absl::IsUnavailable(a->Hold(ids[0]).status()));
  a.reset();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(b->Hold(ids[i]).ok());
    EXPECT_THAT(b->History(ids[i]), ElementsAre(i, i + 1));
    EXPECT_EQ(b->StatePosition(ids[i]), 1);
  }
  EXPECT_EQ(b->sharing().figures().taken_over, 0);
}

TEST_F(SharingTest, AfterACrashOthersTakeOver) {
  auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2, 3}).ok());
  a.reset();  // gives nothing up
  const auto info = b->Turn(id, {4});
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_THAT(b->History(id), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(b->sharing().figures().taken_over, 1);
}

TEST_F(SharingTest, NobodyTakesOverFromWhoCouldNotBeHeard) {
  limits_.presence = std::chrono::seconds(20);
  limits_.patience = std::chrono::milliseconds(50);
  const auto a = Start(1);
  const std::string id = a->New();
  ASSERT_TRUE(Settled(*a));
  ASSERT_TRUE(Eventually([&] { return a->sharing().figures().present; }));
  // The store forgets who is there, as it does when it is down for long enough.
  auto contents = store_.Save();
  contents.present.clear();
  store_.Restore(std::move(contents));
  const auto b = Start(2);
  EXPECT_TRUE(absl::IsUnavailable(b->Hold(id).status()));
  EXPECT_TRUE(a->Turn(id, {1, 2}).ok());
}

// --- A store that is not well ---

TEST_F(SharingTest, SessionsThatAreHereGoOnWithoutTheStore) {
  const auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
  store_.SetReachable(false);
  ASSERT_TRUE(a->Turn(id, {3}, Durability::kProcess).ok());
  const absl::Status untold = a->Turn(id, {4}).status();
  EXPECT_TRUE(absl::IsUnavailable(untold)) << untold;
  EXPECT_EQ(ReasonOf(untold), reason::kNotReplicated);
  EXPECT_THAT(a->History(id), ElementsAre(1, 2, 3, 4));
  const absl::Status elsewhere = b->Hold(id).status();
  EXPECT_TRUE(absl::IsUnavailable(elsewhere)) << elsewhere;
  EXPECT_EQ(ReasonOf(elsewhere), reason::kSharedStore);
  EXPECT_GT(a->sharing().figures().unwritten, 0);
  store_.SetReachable(true);
  EXPECT_TRUE(Settled(*a));
  EXPECT_TRUE(Eventually([&] { return b->Hold(id).ok(); }));
  EXPECT_THAT(b->History(id), ElementsAre(1, 2, 3, 4));
}

TEST_F(SharingTest, WhoMakesASessionWaitsForAStoreThatHiccups) {
  limits_.presence = std::chrono::minutes(5);
  limits_.patience = std::chrono::minutes(1);
  const auto a = Start(1);
  const auto b = Start(2);
  ASSERT_TRUE(Eventually([&] { return a->sharing().figures().present; }));
  store_.SetReachable(false);
  std::thread heals([&] {
    EXPECT_TRUE(Eventually([&] { return a->sharing().figures().failures > 0; }));
    store_.SetReachable(true);
  });
  const std::string id = a->New();
  heals.join();
  EXPECT_TRUE(b->Hold(id).ok());
}

TEST_F(SharingTest, WhoMakesASessionDoesNotWaitForAStoreThatIsGone) {
  limits_.patience = std::chrono::minutes(1);
  store_.SetReachable(false);
  const auto a = Start(1);
  const std::string id = a->New();
  EXPECT_TRUE(a->Turn(id, {1, 2}, Durability::kProcess).ok());
  store_.SetReachable(true);
  const auto b = Start(2);
  EXPECT_TRUE(Settled(*a));
  EXPECT_TRUE(b->Hold(id).ok());
}

TEST_F(SharingTest, WhatTheStoreLostIsWrittenAgain) {
  const auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
  ASSERT_TRUE(Settled(*a));
  store_.Restore({});
  ASSERT_TRUE(a->Turn(id, {3}).ok());
  EXPECT_TRUE(b->Hold(id).ok());
  EXPECT_THAT(b->History(id), ElementsAre(1, 2, 3));
  EXPECT_EQ(b->StatePosition(id), 2);
}

TEST_F(SharingTest, AnOlderCopyIsReplaced) {
  const auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
  ASSERT_TRUE(Settled(*a));
  const auto old = store_.Save();
  ASSERT_TRUE(a->Turn(id, {3}).ok());
  ASSERT_TRUE(a->Turn(id, {4}).ok());
  store_.Restore(old);
  ASSERT_TRUE(a->Turn(id, {5}).ok());
  EXPECT_TRUE(b->Hold(id).ok());
  EXPECT_THAT(b->History(id), ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(SharingTest, WithoutRoomForRecordsWholeSessionsAreWritten) {
  limits_.queued_bytes = 0;
  const auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(a->Turn(id, {i}, Durability::kProcess).ok());
  EXPECT_EQ(a->sharing().figures().queued_bytes, 0);
  ASSERT_TRUE(b->Hold(id).ok());
  EXPECT_EQ(b->History(id).size(), 10u);
}

TEST_F(SharingTest, LongSessionsAreWrittenAnewNowAndThen) {
  const auto a = Start(1);
  const std::string id = a->New();
  std::vector<int32_t> many(2000, 7);
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(a->Turn(id, many, Durability::kProcess).ok());
  ASSERT_TRUE(Settled(*a));
  const auto contents = store_.Save();
  // An image of 8 kB a turn, and no more of changes than of it, or than 64 kB.
  const auto& session = contents.sessions.at({"ann", id});
  EXPECT_EQ(session.last_number(), 41u);
  EXPECT_LE(session.changes.size(), std::max<size_t>(session.image_number, 8) + 1);
}

TEST_F(SharingTest, ADamagedCopyIsSaidToBe) {
  auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  ASSERT_TRUE(a->sharing().Leave(std::chrono::steady_clock::now() + std::chrono::minutes(1)).ok());
  auto contents = store_.Save();
  contents.sessions.at({"ann", id}).image = "nonsense";
  store_.Restore(std::move(contents));
  EXPECT_TRUE(absl::IsDataLoss(b->Hold(id).status()));
  EXPECT_FALSE(b->Has(id));
  EXPECT_EQ(b->sharing().DeleteDamaged({"ann", id}), absl::OkStatus());
  EXPECT_TRUE(absl::IsNotFound(b->Hold(id).status()));
}

TEST_F(SharingTest, AStateThatDoesNotFitIsLeftOut) {
  auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2, 3}).ok());
  ASSERT_TRUE(a->sharing().Leave(std::chrono::steady_clock::now() + std::chrono::minutes(1)).ok());
  auto contents = store_.Save();
  contents.sessions.at({"ann", id}).states.at("").snapshot = "2/12345";
  store_.Restore(std::move(contents));
  ASSERT_TRUE(b->Hold(id).ok());
  EXPECT_THAT(b->History(id), ElementsAre(1, 2, 3));
  EXPECT_EQ(b->StatePosition(id), 0);
}

// --- After a restart with a state directory ---

class RecoveredTest : public SharingTest {
 protected:
  // The next process of that replica, whose table has a copy of the other's session before it
  // starts, as from its log.
  std::unique_ptr<Node> Recovered(int number, Node& from, const std::string& id) {
    auto node = std::make_unique<Node>(number, &store_, limits_, ++processes_);
    const auto frozen = from.table().Freeze({"ann", id});
    EXPECT_TRUE(node->table().Replay({frozen->Image()}).ok());
    return node;
  }
  // The node, with its log, once the store is reachable again.
  std::unique_ptr<Node> RestartedWithStore(int number, std::unique_ptr<Node> node,
                                           const std::string& id) {
    auto again = Recovered(number, *node, id);
    node.reset();
    store_.SetReachable(true);
    again->Start();
    return again;
  }

 private:
  int processes_ = 0;
};

TEST_F(RecoveredTest, WhatIsDeletedForBeingDamagedDoesNotComeBackOfItsCopy) {
  auto a = Start(1);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
  auto again = Recovered(1, *a, id);
  ASSERT_TRUE(a->sharing().Leave(std::chrono::steady_clock::now() + std::chrono::minutes(1)).ok());
  auto contents = store_.Save();
  contents.sessions.at({"ann", id}).image = "nonsense";
  store_.Restore(std::move(contents));
  again->Start();
  EXPECT_TRUE(absl::IsDataLoss(again->Hold(id).status()));
  EXPECT_EQ(again->sharing().DeleteDamaged({"ann", id}), absl::OkStatus());
  EXPECT_FALSE(again->Has(id));
  EXPECT_TRUE(absl::IsNotFound(again->Hold(id).status()));
}

TEST_F(RecoveredTest, ItsSessionsAreItsOwnIfNobodyWentOnWithThem) {
  auto a = Start(1);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
  store_.SetReachable(false);
  ASSERT_TRUE(a->Turn(id, {3}, Durability::kProcess).ok());  // only its own log has it
  const auto again = RestartedWithStore(1, std::move(a), id);
  ASSERT_TRUE(again->Hold(id).ok());
  EXPECT_THAT(again->History(id), ElementsAre(1, 2, 3));
  const auto b = Start(2);
  ASSERT_TRUE(b->Hold(id).ok());
  EXPECT_THAT(b->History(id), ElementsAre(1, 2, 3));
}

TEST_F(RecoveredTest, WhatItTookInAndWentOnWithIsItsOwn) {
  const auto b = Start(2);
  const std::string id = b->New();
  ASSERT_TRUE(b->Turn(id, {1, 2}).ok());
  auto a = Start(1);
  ASSERT_TRUE(a->Hold(id).ok());
  store_.SetReachable(false);
  ASSERT_TRUE(a->Turn(id, {3}, Durability::kProcess).ok());  // only its own log has it
  const auto again = RestartedWithStore(1, std::move(a), id);
  ASSERT_TRUE(again->Hold(id).ok());
  EXPECT_THAT(again->History(id), ElementsAre(1, 2, 3));
}

TEST_F(SharingTest, WhoCannotSayThatItTookASessionInHasNotDoneSo) {
  const auto a = Start(1);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
  ASSERT_TRUE(Settled(*a));
  ASSERT_TRUE(a->sharing().Leave(clock_.Now() + std::chrono::minutes(1)).ok());
  test::ForwardingSharedStore store(&store_);
  limits_.patience = std::chrono::milliseconds(0);
  Node b(2, &store, limits_);
  b.Start();
  for (const auto& [fault, reason] :
       {std::pair(absl::UnavailableError("no answer"), reason::kSharedStore),
        std::pair(absl::AbortedError("another has it"), reason::kSessionElsewhere)}) {
    store.FailDropState(fault);
    const absl::Status status = b.Hold(id).status();
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_EQ(ReasonOf(status), reason);
    EXPECT_FALSE(b.Has(id));
  }
  // A store that has just lost it gets it back.
  store.FailDropState(absl::NotFoundError("lost"));
  EXPECT_TRUE(Eventually([&] { return b.Hold(id).ok(); }));
  EXPECT_TRUE(Eventually([&] { return b.Turn(id, {3}).ok(); }));
  EXPECT_THAT(b.History(id), ElementsAre(1, 2, 3));
}

TEST_F(RecoveredTest, WhatOthersWentOnWithReplacesItsCopy) {
  auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
  auto again = Recovered(1, *a, id);
  a.reset();
  ASSERT_TRUE(b->Turn(id, {7}).ok());
  again->Start();
  ASSERT_TRUE(again->Turn(id, {8}).ok());
  // It may have given it up: the other asked for it when this replica was dead.
  const auto hold = again->Hold(id);
  ASSERT_TRUE(hold.ok()) << hold.status();
  EXPECT_THAT(again->History(id), ElementsAre(1, 2, 7, 8));
}

TEST_F(RecoveredTest, WithoutTheStoreItsSessionsWait) {
  auto a = Start(1);
  const std::string id = a->New();
  auto again = Recovered(1, *a, id);
  a.reset();
  store_.SetReachable(false);
  again->Start();
  const absl::Status status = again->Hold(id).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  store_.SetReachable(true);
  EXPECT_TRUE(again->Hold(id).ok());
}

TEST_F(RecoveredTest, ASessionWhoseTimeWasOverIsForgotten) {
  auto a = Start(1);
  const std::string id = a->New();
  auto again = Recovered(1, *a, id);
  a.reset();
  store_.SetReachable(false);  // so that it is not looked at before
  again->Start();
  ASSERT_TRUE(again->Write(again->table().ProposeDelete("ann", id, {}, nullptr)).ok());
  EXPECT_EQ(again->sharing().figures().sessions, 0);
  EXPECT_EQ(again->sharing().figures().unwritten, 0);
}

TEST_F(RecoveredTest, ACopyThatCouldNotBeRemovedIsReplaced) {
  const auto a = Start(1);
  const auto b = Start(2);
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
  const auto left_over = a->table().Freeze({"ann", id})->Image();
  ASSERT_TRUE(b->Turn(id, {3}).ok());
  // As where the own log could not take the removal.
  ASSERT_TRUE(a->table().Replay({left_over}).ok());
  ASSERT_TRUE(a->Turn(id, {4}).ok());
  const auto hold = a->Hold(id);
  ASSERT_TRUE(hold.ok()) << hold.status();
  EXPECT_THAT(a->History(id), ElementsAre(1, 2, 3, 4));
}

}  // namespace
}  // namespace ssmd
