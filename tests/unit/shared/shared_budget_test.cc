// Bytes of sessions and tenants: counted to the byte, and limited.
#include <gmock/gmock.h>

#include <map>
#include <random>

#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"
#include "tests/unit/shared/shared_fixture.h"

namespace ssmd {
namespace {

template <typename Backend>
class SharedBudgetTest : public SharedStoreTest<Backend> {
 protected:
  void SetUp() override {}  // each test has limits of its own
};
TYPED_TEST_SUITE(SharedBudgetTest, Backends, BackendName);

constexpr int64_t kEmpty = kSharedSessionBytes + kSharedPartBytes;  // a session of an empty image
constexpr int64_t kMuch = int64_t{1} << 20;

TYPED_TEST(SharedBudgetTest, EveryWriteCountsAndGivesBack) {
  this->StartWith(kMuch, kMuch);
  if (this->IsSkipped()) return;
  auto& store = this->store();
  const auto write = this->WriteOf(this->key_, 1, 1);
  const auto bytes = [&] { return this->backend_.TenantBytes("tenant"); };
  ASSERT_TRUE(store.PutImage(write, 0, std::string(100, 'i')).ok());
  EXPECT_EQ(bytes(), kEmpty + 100);
  ASSERT_TRUE(store.Append(write, 1, std::string(10, 'c')).ok());
  ASSERT_TRUE(store.Append(write, 1, std::string(10, 'c')).ok());
  ASSERT_TRUE(store.Append(write, 2, std::string(20, 'c')).ok());
  EXPECT_EQ(bytes(), kEmpty + 130 + 2 * kSharedPartBytes);
  ASSERT_TRUE(store.PutState(write, {"name", 5, std::string(1000, 's')}).ok());
  EXPECT_EQ(bytes(), kEmpty + 130 + 3 * kSharedPartBytes + 4 + 8 + 1000);
  ASSERT_TRUE(store.PutState(write, {"name", 6, std::string(500, 's')}).ok());
  EXPECT_EQ(bytes(), kEmpty + 130 + 3 * kSharedPartBytes + 4 + 8 + 500);
  ASSERT_TRUE(store.PutImage(write, 1, std::string(50, 'i')).ok());
  EXPECT_EQ(bytes(), kEmpty + 50 + 20 + 2 * kSharedPartBytes + 4 + 8 + 500);
  ASSERT_TRUE(store.DropState(write, "name").ok());
  EXPECT_EQ(bytes(), kEmpty + 50 + 20 + kSharedPartBytes);
  auto summed = write;
  const std::string summary(30, 's');
  for (const size_t size : {30, 7}) {
    summed.summary = std::string_view(summary).substr(0, size);
    ASSERT_TRUE(store.PutImage(summed, 2, std::string(50, 'i')).ok());
    EXPECT_EQ(bytes(), kEmpty + 50 + size);
  }
  ASSERT_TRUE(store.PutImage(write, 2, std::string(40, 'i')).ok());
  EXPECT_EQ(bytes(), kEmpty + 40 + 7);
  summed.summary = summary;
  ASSERT_TRUE(store.Append(summed, 3, "").ok());
  EXPECT_EQ(bytes(), kEmpty + 40 + 30 + kSharedPartBytes);
  ASSERT_TRUE(store.Delete(ReplicaNo(1), this->key_, 1).ok());
  EXPECT_EQ(bytes(), 0);
}

TYPED_TEST(SharedBudgetTest, LargeStatesCountLikeOthersAndARefusedOneNothing) {
  constexpr int64_t kLarge = 4 * kSharedInlineBytesMax;
  this->StartWith(2 * kLarge + 4096, 8 * kLarge);
  if (this->IsSkipped()) return;
  this->Make(this->key_);
  SharedStore& store = this->store();
  const auto write = this->WriteOf(this->key_, 1, 1);
  const int64_t empty = this->backend_.TenantBytes("tenant");
  const auto put = [&](const char* name, int64_t bytes) {
    return store.PutState(write, {name, 5, std::string(bytes, name[0])});
  };
  const int64_t one = empty + kSharedPartBytes + 1 + 8;
  ASSERT_TRUE(put("a", kLarge).ok());
  EXPECT_EQ(this->backend_.TenantBytes("tenant"), one + kLarge);
  EXPECT_TRUE(absl::IsResourceExhausted(put("b", 2 * kLarge)));
  EXPECT_EQ(this->backend_.TenantBytes("tenant"), one + kLarge);
  EXPECT_TRUE(this->Claimed(1, this->key_).states.at(0).snapshot == std::string(kLarge, 'a'));
  ASSERT_TRUE(put("a", kLarge / 2).ok());
  EXPECT_EQ(this->backend_.TenantBytes("tenant"), one + kLarge / 2);
  ASSERT_TRUE(put("a", 10).ok());
  EXPECT_EQ(this->backend_.TenantBytes("tenant"), one + 10);
  ASSERT_TRUE(put("a", kLarge).ok());
  ASSERT_TRUE(store.DropState(write, "a").ok());
  EXPECT_EQ(this->backend_.TenantBytes("tenant"), empty);
}

TYPED_TEST(SharedBudgetTest, PastItNothingIsAddedAndLessIsAlwaysTaken) {
  this->StartWith(2 * kEmpty + 100, kMuch);
  if (this->IsSkipped()) return;
  auto& store = this->store();
  const auto write = this->WriteOf(this->key_, 1, 1);
  const auto other = this->WriteOf({"tenant", "other"}, 1, 1);
  ASSERT_TRUE(store.PutImage(write, 0, std::string(60, 'i')).ok());
  const absl::Status refused = store.PutImage(other, 0, std::string(41, 'i'));
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_EQ(ReasonOf(refused), reason::kStateQuota);
  EXPECT_TRUE(this->IsNowhere(other.key));
  ASSERT_TRUE(store.PutImage(other, 0, std::string(40, 'i')).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(store.Append(other, 1, "")));
  EXPECT_TRUE(absl::IsResourceExhausted(store.PutState(other, {"", 1, ""})));
  EXPECT_EQ(this->backend_.TenantBytes("tenant"), 2 * kEmpty + 100);
  // Of another tenant there is nothing yet.
  EXPECT_TRUE(store.PutImage(this->WriteOf({"another", "other"}, 1, 1), 0, "image").ok());
  ASSERT_TRUE(store.PutImage(other, 0, std::string(39, 'i')).ok());
  ASSERT_TRUE(store.Delete(ReplicaNo(1), write.key, 1).ok());
  EXPECT_TRUE(store.Append(other, 1, "").ok());
}

TYPED_TEST(SharedBudgetTest, SessionsThatEndedGiveTheirBytesBack) {
  this->StartWith(3 * kEmpty, kMuch);
  if (this->IsSkipped()) return;
  auto& store = this->store();
  const SessionKey second = {"tenant", "second"}, third = {"tenant", "third"};
  for (const SessionKey& key : {this->key_, second, third}) {
    auto write = this->WriteOf(key, 1, 1);
    if (key.id != third.id) write.ttl = this->kShort;
    ASSERT_TRUE(store.PutImage(write, 0, "").ok());
  }
  const auto fourth = this->WriteOf({"tenant", "fourth"}, 1, 1);
  // Refused until they have ended, and then no longer.
  EXPECT_TRUE(this->backend_.InTime([&] {
    const absl::Status status = store.PutImage(fourth, 0, "");
    return status.ok() || !absl::IsResourceExhausted(status);
  }));
  EXPECT_TRUE(this->backend_.InTime([&] {
    return store.PutImage(this->WriteOf({"tenant", "fifth"}, 1, 1), 0, "").ok();
  }));
  EXPECT_EQ(this->backend_.TenantBytes("tenant"), 3 * kEmpty);
}

TYPED_TEST(SharedBudgetTest, ManyThatEndedAreTakenOffInPieces) {
  this->StartWith(300 * kEmpty, kMuch);
  if (this->IsSkipped()) return;
  auto& store = this->store();
  for (int i = 0; i < 300; ++i) {
    auto write = this->WriteOf({"tenant", absl::StrCat(i)}, 1, 1);
    write.ttl = this->kShort;
    ASSERT_TRUE(store.PutImage(write, 0, "").ok());
  }
  const auto write = this->WriteOf(this->key_, 1, 1);
  EXPECT_TRUE(this->backend_.InTime([&] {
    return store.PutImage(write, 0, "").ok() && this->backend_.TenantBytes("tenant") == kEmpty;
  }));
}

TYPED_TEST(SharedBudgetTest, ASessionIsNoLargerThanItMayBeRead) {
  constexpr int64_t kMost = 64 << 10;
  this->StartWith(0, kMost);
  if (this->IsSkipped()) return;
  auto& store = this->store();
  const auto write = this->WriteOf(this->key_, 1, 1);
  EXPECT_TRUE(
      absl::IsResourceExhausted(store.PutImage(write, 0, std::string(kMost - kEmpty + 1, 'i'))));
  EXPECT_TRUE(absl::IsResourceExhausted(store.PutImage(write, 0, std::string(2 * kMost, 'i'))));
  EXPECT_TRUE(this->IsNowhere(this->key_));
  ASSERT_TRUE(store.PutImage(write, 0, std::string(kMost - kEmpty, 'i')).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(store.Append(write, 1, "")));
  EXPECT_TRUE(absl::IsResourceExhausted(store.PutState(write, {"", 1, ""})));
  EXPECT_EQ(this->Claimed(1, this->key_).image.size(), kMost - kEmpty);
  // As many small parts as fit can be read, too.
  ASSERT_TRUE(store.PutImage(write, 1, "").ok());
  uint64_t number = 1;
  while (store.Append(write, number + 1, "").ok()) ++number;
  EXPECT_GT(number, 900U);
  EXPECT_EQ(this->Claimed(1, this->key_).last_number(), number);
}

// Random writes, of which some are refused; what is counted is what there is.
TYPED_TEST(SharedBudgetTest, IsExactAfterRandomWrites) {
  constexpr int64_t kBudget = 20'000;
  this->StartWith(kBudget, 12'000);
  if (this->IsSkipped()) return;
  std::mt19937 random(8);
  const auto roll = [&](int below) {
    return static_cast<int>(std::uniform_int_distribution<>(0, below - 1)(random));
  };
  const auto some = [&](int below) { return std::string(roll(below), 'x'); };
  FakeClock clock;
  test::MemorySharedStore model(&clock, {kBudget, 12'000});
  std::map<std::string, uint64_t> deleted;  // generations of ids
  int refused = 0;
  for (int step = 0; step < 2000; ++step) {
    const std::string slot = absl::StrCat(roll(8));
    const SessionKey key = {absl::StrCat("tenant", roll(2)),
                            absl::StrCat(slot, ":", deleted[slot])};
    auto write = this->WriteOf(key, 1, 1);
    const int action = roll(10), number = roll(12);
    const std::string bytes = some(3000), name = absl::StrCat(roll(3)), summary = some(100);
    if (roll(3) > 0) write.summary = summary;
    const auto act = [&](SharedStore& store) {
      if (action < 2) return store.PutImage(write, number, bytes);
      if (action < 6) return store.Append(write, number, bytes.substr(bytes.size() / 2));
      if (action < 8) return store.PutState(write, {name, number, bytes});
      if (action == 8) return store.DropState(write, name);
      return store.Delete(ReplicaNo(1), key, 1);
    };
    const absl::Status status = act(this->store()), expected = act(model);
    ASSERT_EQ(status.code(), expected.code()) << "step " << step << ": " << status;
    refused += absl::IsResourceExhausted(status) ? 1 : 0;
    if (action == 9) ++deleted[slot];
    for (const char* tenant : {"tenant0", "tenant1"}) {
      ASSERT_EQ(this->backend_.TenantBytes(tenant), model.TenantBytes(tenant)) << "step " << step;
    }
  }
  EXPECT_GT(refused, 50) << "the limits have been met";
  for (const auto& [name, session] : model.Save().sessions) {
    if (session.deleted) continue;
    const SharedSession found = this->Claimed(1, {name.first, name.second});
    EXPECT_EQ(found.image, session.image);
    EXPECT_EQ(found.image_number, session.image_number);
    EXPECT_THAT(found.changes, ::testing::ElementsAreArray(session.changes));
    ASSERT_EQ(found.states.size(), session.states.size());
    for (const SharedState& state : found.states) {
      EXPECT_EQ(state.snapshot, session.states.at(state.name).snapshot);
      EXPECT_EQ(state.position, session.states.at(state.name).position);
    }
  }
  for (const char* tenant : {"tenant0", "tenant1"}) {
    const auto list = this->store().List(tenant, "", kSharedListedMax);
    const auto expected = model.List(tenant, "", kSharedListedMax);
    ASSERT_TRUE(list.ok() && expected.ok());
    ASSERT_EQ(list->sessions.size(), expected->sessions.size());
    for (size_t i = 0; i < list->sessions.size(); ++i) {
      EXPECT_EQ(list->sessions[i].id, expected->sessions[i].id);
      EXPECT_EQ(list->sessions[i].summary, expected->sessions[i].summary);
    }
  }
}

}  // namespace
}  // namespace ssmd
