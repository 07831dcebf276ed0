// Lists in Redis: what is kept for them, and what others may have made of it.
#include <gmock/gmock.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "tests/unit/shared/shared_fixture.h"

namespace ssmd {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class RedisListTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!backend_.Start(0, int64_t{1} << 20)) GTEST_SKIP() << test::RedisProcess::kNotInstalled;
  }
  absl::Status Make(const std::string& id, Duration ttl = std::chrono::hours(1)) {
    return backend_.store().PutImage({{"tenant", id}, ReplicaNo(1), 1, ttl, "summary"}, 0, "image");
  }
  std::vector<std::string> Ids() {
    std::vector<std::string> ids;
    const auto list = backend_.store().List("tenant", "", kSharedListedMax);
    EXPECT_TRUE(list.ok()) << list.status();
    if (!list.ok()) return ids;
    for (const SharedSummary& session : list->sessions) ids.push_back(session.id);
    return ids;
  }
  RedisReply Command(const std::vector<std::string_view>& command) {
    return backend_.redis_->Command(command);
  }
  int64_t Kept() { return Command({"ZCARD", list_}).integer; }
  bool Ended(const std::string& id) {
    return Command({"EXISTS", RedisBackend::KeyOf({"tenant", id})}).integer == 0;
  }

  RedisBackend backend_;
  const std::string list_ = "ssmd:l:" + absl::BytesToHexString("tenant");
};

TEST_F(RedisListTest, LastsAsLongAsTheLastOfItsSessions) {
  ASSERT_TRUE(Make("a", std::chrono::seconds(1000)).ok());
  EXPECT_LE(Command({"TTL", list_}).integer, 1000);
  EXPECT_GT(Command({"TTL", list_}).integer, 0);
  const SharedStore::Write longer = {
      {"tenant", "a"}, ReplicaNo(1), 1, std::chrono::seconds(3000), ""};
  ASSERT_TRUE(backend_.store().PutState(longer, {"", 1, "state"}).ok());
  EXPECT_GT(Command({"TTL", list_}).integer, 2000);
  ASSERT_TRUE(Make("b", std::chrono::seconds(1000)).ok());
  EXPECT_GT(Command({"TTL", list_}).integer, 2000);
}

TEST_F(RedisListTest, WhatItMeetsThatIsNoMoreIsTakenOff) {
  ASSERT_TRUE(Make("b").ok());
  for (const char* id : {"a", "c", "d"}) {
    ASSERT_TRUE(Make(id, std::chrono::milliseconds(1)).ok());
  }
  EXPECT_TRUE(test::Eventually([&] { return Ended("a") && Ended("c") && Ended("d"); }));
  ASSERT_TRUE(backend_.store().List("tenant", "", 1).ok());
  EXPECT_EQ(Kept(), 3);
  EXPECT_THAT(Ids(), ::testing::ElementsAre("b"));
  EXPECT_EQ(Kept(), 1);
  ASSERT_TRUE(backend_.store().Delete(ReplicaNo(1), {"tenant", "b"}, 1).ok());
  EXPECT_EQ(Kept(), 0);
}

// Nobody lists, and every session ends by itself.
TEST_F(RedisListTest, SessionsThatEndedDoNotPileUp) {
  std::mt19937_64 random(11);
  const auto id = [&] { return absl::StrCat(absl::Hex(random(), absl::kZeroPad16)); };
  ASSERT_TRUE(Make(id()).ok());  // so that the list lasts
  std::string last;
  for (int i = 0; i < 100; ++i) {
    last = id();
    ASSERT_TRUE(Make(last, std::chrono::milliseconds(1)).ok());
  }
  ASSERT_TRUE(test::Eventually([&] { return Ended(last); }));
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(Make(id()).ok());
  EXPECT_LT(Kept(), 301 + 20);
}

TEST_F(RedisListTest, WhatIsNoSessionIsLeftOut) {
  for (const char* id : {"a", "b", "c", "d", "e"}) ASSERT_TRUE(Make(id).ok());
  Command({"SET", RedisBackend::KeyOf({"tenant", "b"}), "text"});
  Command({"HSET", RedisBackend::KeyOf({"tenant", "c"}), "info", std::string(1025, 'x')});
  Command({"HDEL", RedisBackend::KeyOf({"tenant", "d"}), "info"});
  EXPECT_THAT(Ids(), ::testing::ElementsAre("a", "e"));
  EXPECT_EQ(Kept(), 5) << "what is not known to be gone stays";
  Command({"ZADD", list_, "0", "none"});
  EXPECT_THAT(Ids(), SizeIs(2));
  EXPECT_EQ(Kept(), 5);
}

TEST_F(RedisListTest, WhereItIsSomethingElseThereIsNone) {
  Command({"SET", list_, "text"});
  EXPECT_TRUE(absl::IsUnavailable(backend_.store().List("tenant", "", 1).status()));
  EXPECT_TRUE(absl::IsUnavailable(Make("a")));
  EXPECT_TRUE(Ended("a")) << "written in part";
  Command({"DEL", list_});
  EXPECT_TRUE(Make("a").ok());
  EXPECT_THAT(Ids(), SizeIs(1));
  Command({"DEL", list_});
  EXPECT_THAT(Ids(), IsEmpty());
  // The next write puts it back.
  ASSERT_TRUE(backend_.store()
                  .DropState({{"tenant", "a"}, ReplicaNo(1), 1, std::chrono::hours(1), ""}, "none")
                  .ok());
  EXPECT_THAT(Ids(), SizeIs(1));
}

}  // namespace
}  // namespace ssmd
