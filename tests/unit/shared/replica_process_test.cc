// Two processes of one replica, as of a state directory that was copied, or of a restart: what the
// stores allow the second, and what its sharing makes of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "tests/unit/shared/sharing_fixture.h"

namespace ssmd {
namespace {

using test::Eventually;
using test::MakeCommit;
using test::Node;
using test::SharingTest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kOther = 1;

// --- The stores ---

template <typename Backend>
class ReplicaProcessTest : public SharedStoreTest<Backend> {
 protected:
  // Of replica 1.
  SharedStore::Write WriteAs(int process, uint64_t fence) {
    return {this->key_, ReplicaNo(1, process), fence, this->kLong};
  }
  absl::Status RenewAs(int process, Duration ttl) {
    return this->store().Renew(ReplicaNo(1, process), ttl).status();
  }
  SharedSession ClaimedAs(int process) {
    auto claim = this->store().TryClaim(ReplicaNo(1, process), this->key_, false);
    EXPECT_TRUE(claim.ok()) << claim.status();
    if (claim.ok() && std::holds_alternative<SharedSession>(*claim)) {
      return std::get<SharedSession>(*std::move(claim));
    }
    ADD_FAILURE() << "not claimed";
    return {};
  }
};
TYPED_TEST_SUITE(ReplicaProcessTest, Backends, BackendName);

TYPED_TEST(ReplicaProcessTest, AnotherOneOfAPresentReplicaChangesNothing) {
  auto& store = this->store();
  ASSERT_TRUE(this->RenewAs(0, this->kLong).ok());
  this->Make(this->key_);
  ASSERT_TRUE(store.PutState(this->WriteAs(0, 1), {"draft", 1, "state"}).ok());
  const Replica other = ReplicaNo(1, kOther);
  const std::string large(2 * kSharedInlineBytesMax, 's');
  const auto expect_refused = [](const absl::Status& status, const char* call) {
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << call << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("another process is present"));
  };
  for (const uint64_t fence : {1, 2}) {
    const SharedStore::Write write = this->WriteAs(kOther, fence);
    expect_refused(store.PutImage(write, 5, "other image"), "PutImage");
    expect_refused(store.Append(write, 1, "other change"), "Append");
    expect_refused(store.PutState(write, {"", 2, "other state"}), "PutState");
    expect_refused(store.PutState(write, {"", 2, large}), "PutState");
    expect_refused(store.DropState(write, "draft"), "DropState");
    expect_refused(store.GiveUp(other, this->key_, fence), "GiveUp");
    expect_refused(store.Delete(other, this->key_, fence), "Delete");
    expect_refused(store.TryClaim(other, this->key_, fence == 2).status(), "TryClaim");
  }
  expect_refused(store.Delete(other, this->key_, kAnyFence), "Delete");
  const SessionKey made = {"tenant", "made"};
  expect_refused(store.PutImage({made, other, 1, this->kLong}, 0, "image"), "PutImage");
  expect_refused(store.Renew(other, this->kShort).status(), "Renew");
  expect_refused(store.Leave(other), "Leave");

  EXPECT_TRUE(this->Elsewhere(2, this->key_).present);
  EXPECT_TRUE(this->IsNowhere(made));
  EXPECT_TRUE(store.Append(this->WriteAs(0, 1), 1, "change").ok());
  const SharedSession session = this->ClaimedAs(0);
  EXPECT_EQ(session.fence, 1U);
  EXPECT_EQ(session.image, "image");
  EXPECT_THAT(session.changes, ElementsAre("change"));
  ASSERT_EQ(session.states.size(), 1U);
  EXPECT_EQ(session.states[0].snapshot, "state");
}

TYPED_TEST(ReplicaProcessTest, WhoRenewsFirstWhenThePresenceHasEndedHasIt) {
  ASSERT_TRUE(this->RenewAs(0, this->kShort).ok());
  EXPECT_TRUE(this->backend_.InTime([&] { return this->RenewAs(kOther, this->kLong).ok(); }));
  EXPECT_TRUE(absl::IsFailedPrecondition(this->RenewAs(0, this->kLong)));
  ASSERT_TRUE(this->store().Leave(ReplicaNo(1, kOther)).ok());
  EXPECT_FALSE(*this->store().Renew(ReplicaNo(1, 0), this->kLong)) << "another was, in between";
  EXPECT_TRUE(absl::IsFailedPrecondition(this->RenewAs(kOther, this->kLong)));
}

TYPED_TEST(ReplicaProcessTest, WhatAnEarlierOneOwnedGoesOnUnderTheNextFence) {
  auto& store = this->store();
  this->Make(this->key_);
  ASSERT_TRUE(store.Append(this->WriteAs(0, 1), 1, "change").ok());
  EXPECT_EQ(this->ClaimedAs(kOther).fence, 2U);
  EXPECT_EQ(this->ClaimedAs(kOther).fence, 2U) << "its answer may have been lost";
  // The earlier one, for which this is as if another replica had taken it.
  EXPECT_TRUE(absl::IsAborted(store.Append(this->WriteAs(0, 1), 2, "late")));
  EXPECT_TRUE(absl::IsAborted(store.Append(this->WriteAs(0, 2), 2, "late")));
  for (const uint64_t fence : {1, 2}) {
    EXPECT_TRUE(absl::IsAborted(store.GiveUp(ReplicaNo(1, 0), this->key_, fence)));
    EXPECT_TRUE(absl::IsAborted(store.Delete(ReplicaNo(1, 0), this->key_, fence)));
  }
  ASSERT_TRUE(store.Append(this->WriteAs(kOther, 2), 2, "next").ok());
  EXPECT_THAT(this->ClaimedAs(0).changes, ElementsAre("change", "next"));
  EXPECT_EQ(this->ClaimedAs(0).fence, 3U);
}

TYPED_TEST(ReplicaProcessTest, OneThatPutsBackWhatTheStoreLostOwnsItAlone) {
  this->Make(this->key_);
  this->backend_.ForgetEverything();
  ASSERT_TRUE(this->store().PutImage(this->WriteAs(kOther, 1), 3, "other image").ok());
  EXPECT_TRUE(absl::IsAborted(this->store().Append(this->WriteAs(0, 1), 4, "change")));
  EXPECT_TRUE(absl::IsAborted(this->store().PutImage(this->WriteAs(0, 1), 4, "image")));
  EXPECT_EQ(this->ClaimedAs(kOther).image, "other image");
}

using RedisProcessTest = ReplicaProcessTest<RedisBackend>;

TEST_F(RedisProcessTest, WhatAnEarlierVersionSaidOfItselfIsAnothers) {
  const std::string presence = "ssmd:r:" + ReplicaNo(1).id;
  Make(key_);
  backend_.redis_->Command({"SET", presence, "old:1"});
  EXPECT_TRUE(absl::IsFailedPrecondition(RenewAs(0, kLong)));
  EXPECT_TRUE(absl::IsFailedPrecondition(store().Append(WriteAs(0, 1), 1, "change")));
  const OwnedElsewhere elsewhere = Elsewhere(2, key_);
  EXPECT_TRUE(elsewhere.present);
  EXPECT_EQ(elsewhere.owner.address, "old:1");
  backend_.redis_->Command({"DEL", presence});
  ASSERT_TRUE(RenewAs(0, kLong).ok());
  EXPECT_EQ(Elsewhere(2, key_).owner.address, ReplicaNo(1).address);
}

TEST_F(RedisProcessTest, WhatAnEarlierVersionOwnedIsClaimedUnderTheNextFence) {
  Make(key_);
  backend_.redis_->Command({"HDEL", RedisBackend::KeyOf(key_), "process"});
  EXPECT_TRUE(absl::IsAborted(store().Append(WriteAs(0, 1), 1, "change")));
  EXPECT_EQ(ClaimedAs(0).fence, 2U);
}

// --- Sharing ---

class TwinTest : public SharingTest {
 protected:
  // Before another can be.
  std::unique_ptr<Node> StartPresent() {
    auto node = Start(1);
    EXPECT_TRUE(Eventually([&] { return node->sharing().figures().present; }));
    return node;
  }
  // Another process of that replica, whose table has a copy of the session.
  std::unique_ptr<Node> CopyOf(Node& from, const std::string& id) {
    auto node = std::make_unique<Node>(1, &store_, limits_, kOther);
    EXPECT_TRUE(node->table().Replay({from.table().Freeze({"ann", id})->Image()}).ok());
    node->Start();
    return node;
  }
  static bool IsRefused(Node& node) {
    return Eventually([&] { return node.sharing().figures().refused > Duration(0); });
  }
  // As where another process has been present as the node's replica since it was last heard of.
  void LetAnotherBePresent(Node& node, Duration ttl) {
    auto contents = store_.Save();
    contents.present[node.self().id] = {"other:1", ReplicaNo(1, kOther).incarnation,
                                        clock_.Now() + ttl};
    store_.Restore(std::move(contents));
    ASSERT_TRUE(IsRefused(node));
  }
};

TEST_F(TwinTest, ACopyIsRefusedAndTheFirstGoesOn) {
  limits_.presence = std::chrono::hours(1);
  const auto a = StartPresent();
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
  limits_.patience = std::chrono::milliseconds(0);
  const auto copy = CopyOf(*a, id);
  ASSERT_TRUE(IsRefused(*copy));
  EXPECT_THAT(copy->sharing().figures().trouble, HasSubstr("delete the file REPLICA"));
  EXPECT_FALSE(copy->sharing().figures().present);
  const absl::Status held = copy->Hold(id).status();
  EXPECT_TRUE(absl::IsUnavailable(held)) << held;
  EXPECT_EQ(ReasonOf(held), reason::kSharedStore);
  EXPECT_TRUE(RetryAfterOf(held).has_value());
  const absl::Status made = copy->Write(copy->table().ProposeCreate("ann", "model", {})).status();
  EXPECT_TRUE(absl::IsUnavailable(made)) << made;
  EXPECT_EQ(ReasonOf(made), reason::kSharedStore);
  ASSERT_TRUE(a->Turn(id, {3}).ok());
  EXPECT_TRUE(copy->sharing().Leave(clock_.Now()).code() == absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(a->Turn(id, {4}).ok());
  EXPECT_EQ(a->sharing().figures().lost, 0);
  EXPECT_EQ(a->sharing().figures().given_up, 0);
}

TEST_F(TwinTest, ACopyGoesOnWhenTheFirstHasLeft) {
  limits_.presence = std::chrono::hours(1);
  const auto a = StartPresent();
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
  const auto copy = CopyOf(*a, id);
  ASSERT_TRUE(IsRefused(*copy));
  ASSERT_TRUE(a->Turn(id, {3}).ok());
  ASSERT_TRUE(a->sharing().Leave(clock_.Now() + std::chrono::minutes(1)).ok());
  ASSERT_TRUE(copy->Turn(id, {4}).ok());
  EXPECT_THAT(copy->History(id), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(copy->sharing().figures().refused, Duration(0));
}

// As after kill -9 and a start at once.
TEST_F(TwinTest, ACallWaitsUntilWhatWasKilledIsForgotten) {
  limits_.presence = std::chrono::seconds(2);
  auto a = StartPresent();
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
  const auto again = CopyOf(*a, id);
  ASSERT_TRUE(IsRefused(*again));
  a.reset();
  const auto turn = again->Turn(id, {3});
  ASSERT_TRUE(turn.ok()) << turn.status();
  EXPECT_THAT(again->History(id), ElementsAre(1, 2, 3));
}

TEST_F(TwinTest, OneWhosePresenceAnotherTookCommitsNothingUntilItIsBack) {
  limits_.patience = std::chrono::milliseconds(0);
  const auto a = StartPresent();
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
  SessionLease lease;
  {
    const auto hold = a->Hold(id);
    ASSERT_TRUE(hold.ok());
    lease = *a->table().Enqueue("ann", id, WhenBusy::kAbort, {}, {});
  }
  ASSERT_TRUE(lease.Begin(std::nullopt, 0).ok());
  LetAnotherBePresent(*a, std::chrono::hours(1));
  EXPECT_FALSE(a->sharing().TryHold({"ann", id}).has_value());
  {
    SessionCommit commit = MakeCommit({3}, 1, nullptr);
    std::optional<TurnResult> none;
    const absl::Status status =
        a->Write(a->table().ProposeCommit(&lease, &commit, &none), Durability::kProcess).status();
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_EQ(ReasonOf(status), reason::kSharedStore);
    lease = {};
  }
  LetAnotherBePresent(*a, std::chrono::milliseconds(1));
  ASSERT_TRUE(Eventually([&] { return a->sharing().TryHold({"ann", id}).has_value(); }));
  ASSERT_TRUE(a->Turn(id, {4}).ok());
  EXPECT_THAT(a->History(id), ElementsAre(1, 2, 4));
}

TEST_F(TwinTest, WhatAnotherProcessWentOnWithIsLostToTheFirst) {
  const auto a = StartPresent();
  const std::string id = a->New();
  ASSERT_TRUE(a->Turn(id, {1, 2}).ok());
  ASSERT_TRUE(Settled(*a));
  LetAnotherBePresent(*a, std::chrono::hours(1));
  const auto claim = store_.TryClaim(ReplicaNo(1, kOther), {"ann", id}, false);
  ASSERT_TRUE(claim.ok()) << claim.status();
  ASSERT_TRUE(store_.Leave(ReplicaNo(1, kOther)).ok());
  // It looks after what it had, which is not under its fence any more.
  EXPECT_TRUE(Eventually([&] { return a->sharing().figures().lost == 1; }));
  ASSERT_TRUE(a->Turn(id, {3}).ok());
  EXPECT_THAT(a->History(id), ElementsAre(1, 2, 3));
}

}  // namespace
}  // namespace ssmd
