// The contract of engine/shared/shared_store.h, on each store.
#include "engine/shared/shared_store.h"

#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/unit/shared/shared_fixture.h"

namespace ssmd {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TYPED_TEST_SUITE(SharedStoreTest, Backends, BackendName);

TYPED_TEST(SharedStoreTest, ASessionIsFoundAsItWasWritten) {
  auto& store = this->store();
  const auto write = this->WriteOf(this->key_, 1, 1);
  const std::string bytes("\0\r\n\xff$-1\r\n", 9);
  ASSERT_TRUE(store.PutImage(write, 7, "image" + bytes).ok());
  ASSERT_TRUE(store.Append(write, 8, "eight" + bytes).ok());
  ASSERT_TRUE(store.Append(write, 9, "").ok());
  ASSERT_TRUE(store.PutState(write, {"", 120, "present" + bytes}).ok());
  ASSERT_TRUE(store.PutState(write, {"check" + bytes, 0, ""}).ok());
  const SharedSession found = this->Claimed(1, this->key_);
  EXPECT_EQ(found.fence, 1U);
  EXPECT_EQ(found.writer, ReplicaNo(1).id);
  EXPECT_EQ(found.image_number, 7U);
  EXPECT_EQ(found.image, "image" + bytes);
  EXPECT_THAT(found.changes, ElementsAre("eight" + bytes, ""));
  EXPECT_EQ(found.last_number(), 9U);
  ASSERT_THAT(found.states, SizeIs(2));
  EXPECT_EQ(found.states[0].name, "");
  EXPECT_EQ(found.states[0].position, 120);
  EXPECT_EQ(found.states[0].snapshot, "present" + bytes);
  EXPECT_EQ(found.states[1].name, "check" + bytes);
  EXPECT_EQ(found.states[1].position, 0);
  EXPECT_EQ(found.states[1].snapshot, "");
}

TYPED_TEST(SharedStoreTest, OneThatIsNotThereIsNotThere) {
  EXPECT_TRUE(this->IsNowhere(this->key_));
  const auto write = this->WriteOf(this->key_, 1, 1);
  EXPECT_TRUE(absl::IsNotFound(this->store().Append(write, 1, "change")));
  EXPECT_TRUE(absl::IsNotFound(this->store().PutState(write, {"", 1, "state"})));
  EXPECT_TRUE(absl::IsNotFound(this->store().DropState(write, "")));
  EXPECT_TRUE(absl::IsNotFound(this->store().GiveUp(ReplicaNo(1), this->key_, 1)));
  EXPECT_TRUE(this->store().Delete(ReplicaNo(1), this->key_, 1).ok());
  EXPECT_TRUE(this->IsNowhere(this->key_));
}

TYPED_TEST(SharedStoreTest, AnotherTenantsSessionIsNotThere) {
  using namespace std::string_literals;  // NOLINT(google-build-using-namespace)
  // Pairs that run together where key and tenant are put together carelessly.
  const SessionKey keys[] = {{"a", "b:c"}, {"a:b", "c"},   {"", "61:b"},    {"a\0b"s, "c"},
                             {"a", "\0"s}, {"\xff"s, "c"}, {"A", "b:c"},    {"a", "B:c"},
                             {"61", "b"},  {"a", "b"},     {"a\r\n", "b"},  {"*", "?"},
                             {"", ""},     {" ", ""},      {"", "\r\n$1\r"}};
  int number = 0;
  for (const SessionKey& key : keys) {
    EXPECT_TRUE(this->IsNowhere(key)) << number;
    ASSERT_TRUE(
        this->store().PutImage(this->WriteOf(key, 1, 1), 0, absl::StrCat("image ", number++)).ok());
  }
  number = 0;
  for (const SessionKey& key : keys) {
    EXPECT_EQ(this->Claimed(1, key).image, absl::StrCat("image ", number++));
  }
  ASSERT_TRUE(this->store().Delete(ReplicaNo(1), keys[0], 1).ok());
  EXPECT_TRUE(this->IsNowhere(keys[0]));
  for (size_t i = 1; i < std::size(keys); ++i) this->Claimed(1, keys[i]);
}

TYPED_TEST(SharedStoreTest, OwningAgainIsUnderTheSameFence) {
  this->Make(this->key_);
  EXPECT_EQ(this->Claimed(1, this->key_).fence, 1U);
  EXPECT_EQ(this->Claimed(1, this->key_).fence, 1U);
}

TYPED_TEST(SharedStoreTest, WhatWasGivenUpIsFreeUnderTheNextFence) {
  this->Make(this->key_);
  ASSERT_TRUE(this->store().GiveUp(ReplicaNo(1), this->key_, 1).ok());
  EXPECT_TRUE(this->store().GiveUp(ReplicaNo(1), this->key_, 1).ok())
      << "its answer may have been lost";
  const auto write = this->WriteOf(this->key_, 1, 1);
  EXPECT_TRUE(absl::IsAborted(this->store().Append(write, 1, "change")));
  EXPECT_TRUE(absl::IsAborted(this->store().PutImage(write, 1, "image")));
  EXPECT_TRUE(absl::IsAborted(this->store().Delete(ReplicaNo(1), this->key_, 1)));
  EXPECT_EQ(this->Claimed(2, this->key_).fence, 2U);
  EXPECT_TRUE(absl::IsAborted(this->store().GiveUp(ReplicaNo(1), this->key_, 1)));
}

TYPED_TEST(SharedStoreTest, AnEarlierOwnerChangesNothing) {
  this->Make(this->key_);
  ASSERT_TRUE(this->store().GiveUp(ReplicaNo(1), this->key_, 1).ok());
  this->Claimed(2, this->key_);
  const auto now = this->WriteOf(this->key_, 2, 2);
  ASSERT_TRUE(this->store().Append(now, 1, "of 2").ok());
  ASSERT_TRUE(this->store().PutState(now, {"s", 1, "of 2"}).ok());
  const auto late = this->WriteOf(this->key_, 1, 1);
  EXPECT_TRUE(absl::IsAborted(this->store().PutImage(late, 9, "late")));
  EXPECT_TRUE(absl::IsAborted(this->store().Append(late, 2, "late")));
  EXPECT_TRUE(absl::IsAborted(this->store().Append(late, 1, "late")));
  EXPECT_TRUE(absl::IsAborted(this->store().PutState(late, {"s", 2, "late"})));
  EXPECT_TRUE(absl::IsAborted(this->store().DropState(late, "s")));
  EXPECT_TRUE(absl::IsAborted(this->store().GiveUp(ReplicaNo(1), this->key_, 1)));
  EXPECT_TRUE(absl::IsAborted(this->store().Delete(ReplicaNo(1), this->key_, 1)));
  const SharedSession found = this->Claimed(2, this->key_);
  EXPECT_EQ(found.image, "image");
  EXPECT_THAT(found.changes, ElementsAre("of 2"));
  EXPECT_THAT(found.states, ElementsAre(Field(&SharedState::snapshot, "of 2")));
  EXPECT_EQ(found.writer, ReplicaNo(2).id);
}

TYPED_TEST(SharedStoreTest, AnotherReplicaWithTheSameFenceChangesNothing) {
  this->Make(this->key_);
  const auto other = this->WriteOf(this->key_, 2, 1);
  EXPECT_TRUE(absl::IsAborted(this->store().PutImage(other, 5, "other")));
  EXPECT_TRUE(absl::IsAborted(this->store().Append(other, 1, "other")));
  EXPECT_TRUE(absl::IsAborted(this->store().PutState(other, {"", 1, "other"})));
  EXPECT_EQ(this->Claimed(1, this->key_).image, "image");
}

TYPED_TEST(SharedStoreTest, OneOfAPresentReplicaIsAskedOfIt) {
  ASSERT_TRUE(this->store().Renew(ReplicaNo(1), this->kLong).ok());
  this->Make(this->key_);
  for (const bool take_over : {false, true}) {
    const auto claim = this->TryClaim(2, this->key_, take_over);
    ASSERT_TRUE(claim.ok());
    const auto* elsewhere = std::get_if<OwnedElsewhere>(&*claim);
    ASSERT_NE(elsewhere, nullptr);
    EXPECT_EQ(elsewhere->owner.id, ReplicaNo(1).id);
    EXPECT_EQ(elsewhere->owner.address, ReplicaNo(1).address);
    EXPECT_TRUE(elsewhere->present);
  }
  const auto wanted = this->store().Wanted(ReplicaNo(1), std::chrono::seconds(5));
  ASSERT_TRUE(wanted.ok()) << wanted.status();
  ASSERT_THAT(*wanted, SizeIs(1)) << "asked twice, told once";
  EXPECT_EQ(wanted->front().tenant, this->key_.tenant);
  EXPECT_EQ(wanted->front().id, this->key_.id);
  EXPECT_THAT(*this->store().Wanted(ReplicaNo(1), Duration(0)), IsEmpty());
  this->Elsewhere(3, this->key_);
  EXPECT_THAT(*this->store().Wanted(ReplicaNo(1), Duration(0)), SizeIs(1)) << "asked again";
}

TYPED_TEST(SharedStoreTest, WishesAreOfAnyBytesAndOnlySoMany) {
  ASSERT_TRUE(this->store().Renew(ReplicaNo(1), this->kLong).ok());
  std::set<std::string> ids;
  for (int i = 0; i < kSharedWantedMax + 20; ++i) {
    const SessionKey key = {std::string("t\0:\xff", 4), absl::StrCat(":\r\n", i, "\xfe:")};
    ids.insert(key.id);
    this->Make(key);
    this->Elsewhere(2, key);
  }
  const auto wanted = this->store().Wanted(ReplicaNo(1), Duration(0));
  ASSERT_TRUE(wanted.ok()) << wanted.status();
  EXPECT_THAT(*wanted, SizeIs(kSharedWantedMax));
  for (const SessionKey& key : *wanted) {
    EXPECT_EQ(key.tenant, std::string("t\0:\xff", 4));
    EXPECT_EQ(ids.erase(key.id), 1U);
  }
}

TYPED_TEST(SharedStoreTest, OneWhosePresenceHasEndedIsTakenOverWhereThatIsSaid) {
  ASSERT_TRUE(this->store().Renew(ReplicaNo(1), this->kLong).ok());
  this->Make(this->key_);
  EXPECT_TRUE(this->Elsewhere(2, this->key_).present);
  ASSERT_TRUE(this->store().Renew(ReplicaNo(1), this->kShort).ok());
  EXPECT_TRUE(this->backend_.InTime([&] { return !this->Elsewhere(2, this->key_).present; }));
  EXPECT_EQ(this->Elsewhere(2, this->key_).owner.id, ReplicaNo(1).id);
  EXPECT_EQ(this->Claimed(2, this->key_, /*take_over=*/true).fence, 2U);
  // The earlier owner is back, and owns it no more.
  ASSERT_TRUE(this->store().Renew(ReplicaNo(1), this->kLong).ok());
  EXPECT_TRUE(absl::IsAborted(this->store().Append(this->WriteOf(this->key_, 1, 1), 1, "late")));
}

TYPED_TEST(SharedStoreTest, WhoWasNotPresentIsTold) {
  EXPECT_FALSE(*this->store().Renew(ReplicaNo(1), this->kLong));
  EXPECT_TRUE(*this->store().Renew(ReplicaNo(1), this->kLong));
  EXPECT_FALSE(*this->store().Renew(ReplicaNo(2), this->kLong));
  ASSERT_TRUE(this->store().Leave(ReplicaNo(1)).ok());
  EXPECT_FALSE(*this->store().Renew(ReplicaNo(1), this->kLong));
}

TYPED_TEST(SharedStoreTest, WhoLeavesIsPresentNoMore) {
  ASSERT_TRUE(this->store().Renew(ReplicaNo(1), this->kLong).ok());
  this->Make(this->key_);
  this->Elsewhere(2, this->key_);
  ASSERT_TRUE(this->store().Leave(ReplicaNo(1)).ok());
  EXPECT_FALSE(this->Elsewhere(2, this->key_).present);
  EXPECT_THAT(*this->store().Wanted(ReplicaNo(1), Duration(0)), IsEmpty());
  EXPECT_TRUE(this->store().Leave(ReplicaNo(1)).ok());
}

TYPED_TEST(SharedStoreTest, ChangesFollowEachOther) {
  this->Make(this->key_);
  const auto write = this->WriteOf(this->key_, 1, 1);
  EXPECT_TRUE(absl::IsOutOfRange(this->store().Append(write, 2, "two")));
  EXPECT_TRUE(this->store().Append(write, 1, "one").ok());
  EXPECT_TRUE(this->store().Append(write, 1, "again").ok());
  EXPECT_TRUE(this->store().Append(write, 2, "two").ok());
  EXPECT_TRUE(this->store().Append(write, 1, "again").ok());
  EXPECT_TRUE(absl::IsOutOfRange(this->store().Append(write, 4, "four")));
  EXPECT_THAT(this->Claimed(1, this->key_).changes, ElementsAre("one", "two"));
}

TYPED_TEST(SharedStoreTest, AnImageReplacesTheChangesUpToIt) {
  this->Make(this->key_);
  const auto write = this->WriteOf(this->key_, 1, 1);
  for (int i = 1; i <= 5; ++i) {
    ASSERT_TRUE(this->store().Append(write, i, absl::StrCat(i)).ok());
  }
  ASSERT_TRUE(this->store().PutState(write, {"kept", 3, "state"}).ok());
  ASSERT_TRUE(this->store().PutImage(write, 3, "of 3").ok());
  EXPECT_THAT(this->Claimed(1, this->key_).changes, ElementsAre("4", "5"));
  ASSERT_TRUE(this->store().PutImage(write, 2, "late").ok());
  EXPECT_EQ(this->Claimed(1, this->key_).image, "of 3") << "what is there is newer";
  ASSERT_TRUE(this->store().PutImage(write, 9, "of 9").ok());
  const SharedSession found = this->Claimed(1, this->key_);
  EXPECT_EQ(found.image, "of 9");
  EXPECT_EQ(found.image_number, 9U);
  EXPECT_THAT(found.changes, IsEmpty());
  EXPECT_THAT(found.states, SizeIs(1));
  EXPECT_TRUE(this->store().Append(write, 10, "10").ok());
}

TYPED_TEST(SharedStoreTest, TooManyChangesWantAnImage) {
  this->Make(this->key_);
  const auto write = this->WriteOf(this->key_, 1, 1);
  for (uint64_t i = 1; i <= kSharedChangesMax; ++i) {
    ASSERT_TRUE(this->store().Append(write, i, "c").ok());
  }
  EXPECT_TRUE(absl::IsOutOfRange(this->store().Append(write, kSharedChangesMax + 1, "c")));
  EXPECT_THAT(this->Claimed(1, this->key_).changes, SizeIs(kSharedChangesMax));
  ASSERT_TRUE(this->store().PutImage(write, kSharedChangesMax, "image").ok());
  EXPECT_TRUE(this->store().Append(write, kSharedChangesMax + 1, "c").ok());
  EXPECT_THAT(this->Claimed(1, this->key_).changes, SizeIs(1));
}

TYPED_TEST(SharedStoreTest, StatesAreReplacedAndDroppedByName) {
  this->Make(this->key_);
  const auto write = this->WriteOf(this->key_, 1, 1);
  ASSERT_TRUE(this->store().PutState(write, {"a", 1, "one"}).ok());
  ASSERT_TRUE(this->store().PutState(write, {"b", 2, "two"}).ok());
  ASSERT_TRUE(this->store().PutState(write, {"a", 3, "three"}).ok());
  ASSERT_TRUE(this->store().DropState(write, "b").ok());
  EXPECT_TRUE(this->store().DropState(write, "b").ok());
  const SharedSession found = this->Claimed(1, this->key_);
  ASSERT_THAT(found.states, SizeIs(1));
  EXPECT_EQ(found.states[0].position, 3);
  EXPECT_EQ(found.states[0].snapshot, "three");
}

TYPED_TEST(SharedStoreTest, StatesAreOnlySoMany) {
  this->Make(this->key_);
  const auto write = this->WriteOf(this->key_, 1, 1);
  ASSERT_TRUE(this->store().Append(write, 1, "change").ok());
  for (int i = 0; i < kSharedStatesMax; ++i) {
    ASSERT_TRUE(this->store().PutState(write, {absl::StrCat(i), i, "state"}).ok());
  }
  EXPECT_TRUE(absl::IsResourceExhausted(this->store().PutState(write, {"more", 1, "state"})));
  EXPECT_TRUE(this->store().PutState(write, {"0", 7, "replaced"}).ok());
  ASSERT_TRUE(this->store().DropState(write, "1").ok());
  EXPECT_TRUE(this->store().PutState(write, {"more", 1, "state"}).ok());
  EXPECT_THAT(this->Claimed(1, this->key_).states, SizeIs(kSharedStatesMax));
}

TYPED_TEST(SharedStoreTest, WhatIsDeletedStaysDeleted) {
  this->Make(this->key_);
  ASSERT_TRUE(this->store().Delete(ReplicaNo(1), this->key_, 1).ok());
  EXPECT_TRUE(this->IsNowhere(this->key_));
  EXPECT_TRUE(this->store().Delete(ReplicaNo(1), this->key_, 1).ok());
  // Written before the deletion, and late.
  const auto write = this->WriteOf(this->key_, 1, 1);
  EXPECT_TRUE(absl::IsAborted(this->store().PutImage(write, 3, "late")));
  EXPECT_TRUE(absl::IsAborted(this->store().Append(write, 1, "late")));
  EXPECT_TRUE(absl::IsAborted(this->store().PutState(write, {"", 1, "late"})));
  EXPECT_TRUE(absl::IsAborted(this->store().GiveUp(ReplicaNo(1), this->key_, 1)));
  EXPECT_TRUE(this->IsNowhere(this->key_));
  // The same of one that was deleted before it was there.
  const SessionKey other = {"tenant", "other"};
  ASSERT_TRUE(this->store().Delete(ReplicaNo(1), other, 1).ok());
  EXPECT_TRUE(absl::IsAborted(this->store().PutImage(this->WriteOf(other, 1, 1), 0, "late")));
  EXPECT_TRUE(this->IsNowhere(other));
}

TYPED_TEST(SharedStoreTest, ASessionEndsWhenNobodyWritesIt) {
  auto write = this->WriteOf(this->key_, 1, 1);
  write.ttl = this->kShort;
  ASSERT_TRUE(this->store().PutImage(write, 0, "image").ok());
  EXPECT_TRUE(this->backend_.InTime([&] { return this->IsNowhere(this->key_); }));
  EXPECT_TRUE(absl::IsNotFound(this->store().Append(write, 1, "change")));
}

TYPED_TEST(SharedStoreTest, EveryWriteLetsItLastLonger) {
  using Do = std::function<absl::Status(SharedStore&, const SharedStore::Write&)>;
  const Do writes[] = {
      [](auto& store, const auto& write) { return store.PutImage(write, 1, "image"); },
      [](auto& store, const auto& write) { return store.Append(write, 1, "change"); },
      [](auto& store, const auto& write) {
        return store.PutState(write, {"", 1, "state"});
      },
      [](auto& store, const auto& write) { return store.DropState(write, "none"); },
  };
  for (const Do& extend : writes) {
    auto write = this->WriteOf(this->key_, 1, 1);
    ASSERT_TRUE(this->store().PutImage(write, 0, "image").ok());
    EXPECT_LE(this->backend_.TimeLeft(this->key_), this->kLong);
    write.ttl = 2 * this->kLong;
    ASSERT_TRUE(extend(this->store(), write).ok());
    EXPECT_GT(this->backend_.TimeLeft(this->key_), this->kLong);
    this->backend_.ForgetEverything();
  }
}

TYPED_TEST(SharedStoreTest, WhatCannotBeIsRefused) {
  auto& store = this->store();
  const auto invalid = [](const absl::Status& status) { return absl::IsInvalidArgument(status); };
  for (const std::string& id : {std::string(), std::string(31, 'a'), std::string(32, 'A'),
                                std::string(32, 'g'), std::string(33, 'a')}) {
    const Replica nobody = {id, "address", ReplicaNo(1).incarnation};
    EXPECT_TRUE(invalid(store.Renew(nobody, this->kLong).status())) << id;
    EXPECT_TRUE(invalid(store.Leave(nobody))) << id;
    EXPECT_TRUE(invalid(store.Wanted(nobody, Duration(0)).status())) << id;
    EXPECT_TRUE(invalid(store.TryClaim(nobody, this->key_, true).status())) << id;
    EXPECT_TRUE(invalid(store.PutImage({this->key_, nobody, 1, this->kLong}, 0, "image"))) << id;
  }
  for (const uint64_t fence : {uint64_t{0}, kSharedNumberMax + 1, kAnyFence}) {
    const auto write = this->WriteOf(this->key_, 1, fence);
    EXPECT_TRUE(invalid(store.PutImage(write, 0, "image"))) << fence;
    EXPECT_TRUE(invalid(store.Append(write, 1, "change"))) << fence;
    EXPECT_TRUE(invalid(store.PutState(write, {"", 1, "state"}))) << fence;
    EXPECT_TRUE(invalid(store.DropState(write, ""))) << fence;
    EXPECT_TRUE(invalid(store.GiveUp(ReplicaNo(1), this->key_, fence))) << fence;
    EXPECT_EQ(invalid(store.Delete(ReplicaNo(1), {"tenant", "x"}, fence)), fence != kAnyFence)
        << fence;
  }
  const auto write = this->WriteOf(this->key_, 1, kSharedNumberMax);
  EXPECT_TRUE(invalid(store.PutImage(write, kSharedNumberMax + 1, "image")));
  EXPECT_TRUE(invalid(store.Append(write, kSharedNumberMax + 1, "change")));
  EXPECT_TRUE(invalid(store.PutState(write, {"", -1, "state"})));
  EXPECT_TRUE(this->IsNowhere(this->key_));
  // The greatest that there are.
  ASSERT_TRUE(store.PutImage(write, kSharedNumberMax - 1, "image").ok());
  ASSERT_TRUE(store.Append(write, kSharedNumberMax, "change").ok());
  const SharedSession found = this->Claimed(1, this->key_);
  EXPECT_EQ(found.fence, kSharedNumberMax);
  EXPECT_EQ(found.last_number(), kSharedNumberMax);
}

// The store has lost everything, or has an older copy back.

TYPED_TEST(SharedStoreTest, WhatTheStoreLostIsPutBackUnderItsFence) {
  this->Make(this->key_);
  this->backend_.ForgetEverything();
  const auto write = this->WriteOf(this->key_, 3, 7);
  EXPECT_TRUE(absl::IsNotFound(this->store().GiveUp(ReplicaNo(1), this->key_, 7)));
  ASSERT_TRUE(this->store().PutImage(write, 40, "image").ok());
  EXPECT_TRUE(this->store().Append(write, 41, "change").ok());
  EXPECT_EQ(this->Claimed(3, this->key_).fence, 7U);
  ASSERT_TRUE(this->store().GiveUp(ReplicaNo(1), this->key_, 7).ok());
  EXPECT_EQ(this->Claimed(2, this->key_).fence, 8U);
}

TYPED_TEST(SharedStoreTest, AnOlderCopyIsReplacedAndNeverAddedTo) {
  // The copy: of replica 1 under fence 3. Replica 2 was granted 5 before the store lost that.
  const auto older = this->WriteOf(this->key_, 1, 3), newer = this->WriteOf(this->key_, 2, 5);
  ASSERT_TRUE(this->store().PutImage(older, 10, "older").ok());
  ASSERT_TRUE(this->store().Append(older, 11, "older").ok());
  ASSERT_TRUE(this->store().PutState(older, {"", 5, "older"}).ok());

  EXPECT_TRUE(absl::IsNotFound(this->store().Append(newer, 12, "newer")));
  EXPECT_TRUE(absl::IsNotFound(this->store().Append(newer, 11, "newer")));
  EXPECT_TRUE(absl::IsNotFound(this->store().PutState(newer, {"", 9, "newer"})));
  EXPECT_TRUE(absl::IsNotFound(this->store().DropState(newer, "")));
  EXPECT_TRUE(absl::IsNotFound(this->store().GiveUp(ReplicaNo(1), this->key_, 5)));

  // Even one of a smaller number: the copy's were another owner's.
  ASSERT_TRUE(this->store().PutImage(newer, 4, "newer").ok());
  const SharedSession found = this->Claimed(2, this->key_);
  EXPECT_EQ(found.fence, 5U);
  EXPECT_EQ(found.image, "newer");
  EXPECT_EQ(found.image_number, 4U);
  EXPECT_THAT(found.changes, IsEmpty());
  EXPECT_THAT(found.states, IsEmpty());
  EXPECT_TRUE(absl::IsAborted(this->store().Append(older, 12, "older")));
}

TYPED_TEST(SharedStoreTest, AnOlderCopyIsDeletedByALaterOwner) {
  ASSERT_TRUE(this->store().PutImage(this->WriteOf(this->key_, 1, 3), 1, "older").ok());
  EXPECT_TRUE(this->store().Delete(ReplicaNo(1), this->key_, 5).ok());
  EXPECT_TRUE(this->IsNowhere(this->key_));
  const SessionKey other = {"tenant", "other"};
  this->Make(other);
  EXPECT_TRUE(this->store().Delete(ReplicaNo(1), other, kAnyFence).ok());
  EXPECT_TRUE(this->IsNowhere(other));
}

TYPED_TEST(SharedStoreTest, NoChangeIsLostOrDoubledBetweenRacingReplicas) {
  constexpr int kReplicas = 6;
  constexpr uint64_t kChanges = 60;
  this->Make(this->key_);
  ASSERT_TRUE(this->store().GiveUp(ReplicaNo(1), this->key_, 1).ok());
  std::atomic<uint64_t> reached{0};
  std::atomic<int> failures{0};
  std::map<uint64_t, std::string> accepted[kReplicas];  // by each, what it was told is there
  const auto replica = [&](int number) {
    // Half of them by another connection, where there is one.
    SharedStore& store = number % 2 == 0 ? this->backend_.store() : this->backend_.other();
    while (reached < kChanges) {
      auto claim = store.TryClaim(ReplicaNo(number), this->key_, /*take_over=*/true);
      if (absl::IsUnavailable(claim.status())) continue;  // taken over while it was read
      if (!claim.ok()) {
        ++failures;
        return;
      }
      const auto* session = std::get_if<SharedSession>(&*claim);
      if (session == nullptr) {
        ++failures;  // none of them is present, so that each may take over
        return;
      }
      const SharedStore::Write write = {this->key_, ReplicaNo(number), session->fence, this->kLong};
      uint64_t last = session->last_number();
      for (int i = 0; i < 3; ++i) {
        const std::string change = absl::StrCat(number, " ", last + 1, " ", session->fence);
        const absl::Status status = store.Append(write, last + 1, change);
        if (absl::IsAborted(status)) break;  // somebody took it over
        if (!status.ok()) {
          ++failures;
          return;
        }
        accepted[number][++last] = change;
        reached = std::max(reached.load(), last);
      }
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(kReplicas);
  for (int i = 0; i < kReplicas; ++i) threads.emplace_back(replica, i);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);

  const SharedSession found = this->Claimed(9, this->key_, /*take_over=*/true);
  std::map<uint64_t, std::string> all;
  size_t sum = 0;
  for (const auto& part : accepted) {
    all.insert(part.begin(), part.end());
    sum += part.size();
  }
  EXPECT_EQ(all.size(), sum) << "a number was acknowledged twice";
  ASSERT_EQ(found.changes.size(), sum) << "what is there is what was acknowledged";
  for (size_t i = 0; i < found.changes.size(); ++i) {
    EXPECT_EQ(found.changes[i], all[found.image_number + i + 1]);
  }
}

TYPED_TEST(SharedStoreTest, OnlyOneOfManyClaimsAFreeSession) {
  constexpr int kReplicas = 8;
  for (int i = 0; i < kReplicas; ++i) {
    ASSERT_TRUE(this->store().Renew(ReplicaNo(i), this->kLong).ok());
  }
  this->Make(this->key_);
  ASSERT_TRUE(this->store().GiveUp(ReplicaNo(1), this->key_, 1).ok());
  std::atomic<int> owners{0}, elsewhere{0};
  std::vector<std::thread> threads;
  threads.reserve(kReplicas);
  for (int i = 0; i < kReplicas; ++i) {
    threads.emplace_back([&, i] {
      const auto claim = this->store().TryClaim(ReplicaNo(i), this->key_, true);
      if (!claim.ok()) return;
      owners += std::holds_alternative<SharedSession>(*claim) ? 1 : 0;
      elsewhere += std::holds_alternative<OwnedElsewhere>(*claim) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(owners, 1);
  EXPECT_EQ(elsewhere, kReplicas - 1);
}

}  // namespace
}  // namespace ssmd
