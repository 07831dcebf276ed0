// Lists of a tenant's sessions: the contract of engine/shared/shared_store.h, on each store.
#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "tests/unit/shared/shared_fixture.h"

namespace ssmd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

using Pairs = std::vector<std::pair<std::string, std::string>>;

template <typename Backend>
class SharedListTest : public SharedStoreTest<Backend> {
 protected:
  SharedStore::Write WriteOf(const SessionKey& key, std::string_view summary) {
    SharedStore::Write write = SharedStoreTest<Backend>::WriteOf(key, 1, 1);
    write.summary = summary;
    return write;
  }
  void Make(const std::string& id, std::string_view summary) {
    ASSERT_TRUE(this->store().PutImage(WriteOf({"tenant", id}, summary), 0, "image").ok());
  }
  // All pages of so many.
  Pairs All(const std::string& tenant, int most = 256) {
    Pairs all;
    std::string after;
    for (int page = 0; page < 1000; ++page) {
      const auto list = this->store().List(tenant, after, most);
      if (!list.ok()) {
        ADD_FAILURE() << list.status();
        return all;
      }
      EXPECT_LE(list->sessions.size(), most);
      for (const SharedSummary& session : list->sessions) {
        EXPECT_GT(session.id, after);
        all.emplace_back(session.id, session.summary);
      }
      if (list->next.empty()) return all;
      EXPECT_GT(list->next, after);
      after = list->next;
    }
    ADD_FAILURE() << "it does not end";
    return all;
  }
};
TYPED_TEST_SUITE(SharedListTest, Backends, BackendName);

TYPED_TEST(SharedListTest, IsInTheOrderOfIdsWhateverThePages) {
  Pairs made;
  for (int i = 0; i < 23; ++i) {
    made.emplace_back(absl::StrCat(absl::Hex(i * 7919 % 23, absl::kZeroPad8)), absl::StrCat(i));
  }
  std::shuffle(made.begin(), made.end(), std::mt19937(3));
  for (const auto& [id, summary] : made) this->Make(id, summary);
  std::sort(made.begin(), made.end());
  for (const int most : {1, 2, 7, 22, 23, 24, kSharedListedMax}) {
    EXPECT_EQ(this->All("tenant", most), made) << most;
  }
  const auto rest = this->store().List("tenant", made[20].first, 5);
  ASSERT_TRUE(rest.ok());
  EXPECT_THAT(rest->sessions, SizeIs(2));
  const auto between = this->store().List("tenant", made[20].first + "x", 1);
  ASSERT_TRUE(between.ok());
  ASSERT_THAT(between->sessions, SizeIs(1));
  EXPECT_EQ(between->sessions[0].id, made[21].first);
}

TYPED_TEST(SharedListTest, SaysWhatTheLastChangeWrote) {
  const std::string bytes("\0\r\n\xff$-1\r\n", 9);
  auto& store = this->store();
  this->Make("id", "image" + bytes);
  EXPECT_THAT(this->All("tenant"), ElementsAre(Pair("id", "image" + bytes)));
  const SessionKey key = {"tenant", "id"};
  ASSERT_TRUE(store.Append(this->WriteOf(key, "one" + bytes), 1, "change").ok());
  EXPECT_THAT(this->All("tenant"), ElementsAre(Pair("id", "one" + bytes)));
  // As it was: nothing is said, or nothing is changed.
  ASSERT_TRUE(store.Append(this->WriteOf(key, ""), 2, "change").ok());
  ASSERT_TRUE(store.Append(this->WriteOf(key, "again"), 2, "change").ok());
  ASSERT_TRUE(store.PutImage(this->WriteOf(key, ""), 2, "image").ok());
  ASSERT_TRUE(store.PutImage(this->WriteOf(key, "late"), 1, "image").ok());
  ASSERT_TRUE(store.PutState(this->WriteOf(key, "state"), {"", 1, "state"}).ok());
  ASSERT_TRUE(store.DropState(this->WriteOf(key, "state"), "").ok());
  EXPECT_TRUE(absl::IsOutOfRange(store.Append(this->WriteOf(key, "gap"), 9, "change")));
  EXPECT_THAT(this->All("tenant"), ElementsAre(Pair("id", "one" + bytes)));
  ASSERT_TRUE(store.PutImage(this->WriteOf(key, "three"), 3, "image").ok());
  EXPECT_THAT(this->All("tenant"), ElementsAre(Pair("id", "three")));
  const SharedSession found = this->Claimed(1, key);
  EXPECT_EQ(found.image, "image");
  EXPECT_THAT(found.changes, IsEmpty());
  EXPECT_THAT(found.states, IsEmpty());
}

TYPED_TEST(SharedListTest, DoesNotMindWhoseTheyAre) {
  this->Make("id", "of 1");
  const SessionKey key = {"tenant", "id"};
  ASSERT_TRUE(this->store().GiveUp(ReplicaNo(1), key, 1).ok());
  EXPECT_THAT(this->All("tenant"), ElementsAre(Pair("id", "of 1")));
  ASSERT_EQ(this->Claimed(2, key).fence, 2U);
  EXPECT_TRUE(absl::IsAborted(this->store().Append(this->WriteOf(key, "late"), 1, "change")));
  EXPECT_TRUE(absl::IsAborted(this->store().PutImage(this->WriteOf(key, "late"), 1, "image")));
  EXPECT_THAT(this->All("tenant"), ElementsAre(Pair("id", "of 1")));
  SharedStore::Write write = this->WriteOf(key, "of 2");
  write.self = ReplicaNo(2);
  write.fence = 2;
  ASSERT_TRUE(this->store().Append(write, 1, "change").ok());
  EXPECT_THAT(this->All("tenant"), ElementsAre(Pair("id", "of 2")));
  // What takes the place of an older copy brings its own, or none.
  write.fence = 5;
  write.summary = "of 5";
  ASSERT_TRUE(this->store().PutImage(write, 1, "image").ok());
  EXPECT_THAT(this->All("tenant"), ElementsAre(Pair("id", "of 5")));
  write.fence = 7;
  write.summary = "";
  ASSERT_TRUE(this->store().PutImage(write, 1, "image").ok());
  EXPECT_THAT(this->All("tenant"), IsEmpty());
}

TYPED_TEST(SharedListTest, IsWithoutSessionsThatNeverGotASummary) {
  this->Make("a", "");
  this->Make("b", "summary");
  EXPECT_THAT(this->All("tenant", 1), ElementsAre(Pair("b", "summary")));
  ASSERT_TRUE(this->store().PutState(this->WriteOf({"tenant", "a"}, "no"), {"", 1, "s"}).ok());
  EXPECT_THAT(this->All("tenant", 1), SizeIs(1));
  ASSERT_TRUE(this->store().Append(this->WriteOf({"tenant", "a"}, "now"), 1, "change").ok());
  EXPECT_THAT(this->All("tenant", 1), ElementsAre(Pair("a", "now"), Pair("b", "summary")));
}

TYPED_TEST(SharedListTest, IsWithoutSessionsThatEndedOrWereDeleted) {
  for (const char* id : {"a", "b", "c", "d", "e"}) {
    SharedStore::Write write = this->WriteOf({"tenant", id}, "short");
    write.ttl = this->kShort;
    ASSERT_TRUE(this->store().PutImage(write, 0, "image").ok());
  }
  this->Make("bb", "deleted");
  this->Make("cc", "lasts");
  ASSERT_TRUE(this->store().Delete(ReplicaNo(1), {"tenant", "bb"}, 1).ok());
  ASSERT_TRUE(this->store().Delete(ReplicaNo(1), {"tenant", "bbb"}, 1).ok());
  EXPECT_TRUE(this->backend_.InTime([&] { return this->All("tenant", 2).size() == 1; }));
  EXPECT_THAT(this->All("tenant", 1), ElementsAre(Pair("cc", "lasts")));
  EXPECT_TRUE(
      absl::IsAborted(this->store().PutImage(this->WriteOf({"tenant", "bb"}, "late"), 1, "image")));
  EXPECT_THAT(this->All("tenant"), ElementsAre(Pair("cc", "lasts")));
  // One of an id that ended may be made again.
  this->Make("a", "again");
  EXPECT_THAT(this->All("tenant"), ElementsAre(Pair("a", "again"), Pair("cc", "lasts")));
  this->backend_.ForgetEverything();
  EXPECT_THAT(this->All("tenant"), IsEmpty());
}

TYPED_TEST(SharedListTest, NeverShowsAnotherTenantsSessions) {
  using namespace std::string_literals;  // NOLINT(google-build-using-namespace)
  const std::string tenants[] = {"", "a", "a:b", "A", "61", "\xff", "*", "a\0"s, "a\r\n", "l:61"};
  for (const std::string& tenant : tenants) {
    for (const char* id : {"1", "61:1", "[", "(", "+"}) {
      const std::string summary = tenant + "/" + id;
      ASSERT_TRUE(this->store().PutImage(this->WriteOf({tenant, id}, summary), 0, "image").ok());
    }
  }
  for (const std::string& tenant : tenants) {
    EXPECT_THAT(
        this->All(tenant, 2),
        ElementsAre(Pair("(", tenant + "/("), Pair("+", tenant + "/+"), Pair("1", tenant + "/1"),
                    Pair("61:1", tenant + "/61:1"), Pair("[", tenant + "/[")));
  }
  EXPECT_THAT(this->All("nobody"), IsEmpty());
  EXPECT_THAT(this->All("\xfe"), IsEmpty());
}

TYPED_TEST(SharedListTest, IsLimited) {
  auto& store = this->store();
  for (const int most : {-1, 0, kSharedListedMax + 1}) {
    EXPECT_TRUE(absl::IsInvalidArgument(store.List("tenant", "", most).status())) << most;
  }
  const std::string most(kSharedSummaryBytes, 'x'), more = most + 'x';
  const SessionKey key = {"tenant", "id"};
  EXPECT_TRUE(absl::IsInvalidArgument(store.PutImage(this->WriteOf(key, more), 0, "image")));
  EXPECT_TRUE(this->IsNowhere(key));
  ASSERT_TRUE(store.PutImage(this->WriteOf(key, most), 0, "image").ok());
  EXPECT_TRUE(absl::IsInvalidArgument(store.Append(this->WriteOf(key, more), 1, "change")));
  EXPECT_THAT(this->Claimed(1, key).changes, IsEmpty());
  // The largest answer that there is.
  for (int i = 0; i < kSharedListedMax; ++i) this->Make(absl::StrCat(1000 + i), most);
  const auto list = store.List("tenant", "", kSharedListedMax);
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(list->sessions, SizeIs(kSharedListedMax));
  EXPECT_THAT(this->All("tenant"), SizeIs(kSharedListedMax + 1));
}

TYPED_TEST(SharedListTest, ASummaryIsNoState) {
  auto& store = this->store();
  for (const char* summary : {"", "summary"}) {
    const SessionKey key = {"tenant", absl::StrCat("id", summary)};
    const auto write = this->WriteOf(key, summary);
    ASSERT_TRUE(store.PutImage(write, 0, "image").ok());
    for (int i = 0; i < kSharedStatesMax; ++i) {
      ASSERT_TRUE(store.PutState(write, {absl::StrCat(i), i, "state"}).ok()) << i;
    }
    EXPECT_TRUE(absl::IsResourceExhausted(store.PutState(write, {"more", 1, "state"})));
    EXPECT_THAT(this->Claimed(1, key).states, SizeIs(kSharedStatesMax));
  }
}

}  // namespace
}  // namespace ssmd
