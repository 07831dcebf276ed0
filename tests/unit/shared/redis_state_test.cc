// Large states in Redis: each in a key of its own, which its session points at.
#include <gmock/gmock.h>

#include <functional>

#include "absl/strings/str_cat.h"
#include "engine/shared/redis_scripts.h"
#include "tests/unit/shared/shared_fixture.h"

namespace ssmd {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class RedisStateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!backend_.Start(0, int64_t{16} << 20)) GTEST_SKIP() << test::RedisProcess::kNotInstalled;
    ASSERT_TRUE(store().PutImage(Write(), 0, "image").ok());
  }
  SharedStore& store() { return backend_.store(); }
  SharedStore::Write Write(int replica = 1, uint64_t fence = 1,
                           Duration ttl = std::chrono::hours(1)) const {
    return {key_, ReplicaNo(replica), fence, ttl};
  }
  absl::Status Put(const std::string& name, char content, int64_t more = 0) {
    return store().PutState(Write(), {name, 7, Large(content, more)});
  }
  static std::string Large(char content, int64_t more = 0) {
    return std::string(kSharedInlineBytesMax + more, content);
  }
  static std::string Pointer(const std::string& token, int64_t length) {
    return absl::StrCat(std::string(8, '\xff'), token, length);
  }
  RedisReply Command(const std::vector<std::string_view>& command) {
    return backend_.redis_->Command(command);
  }
  std::vector<std::string> Apart() {
    std::vector<std::string> names;
    for (RedisReply& name : Command({"KEYS", "ssmd:v:*"}).elements) names.push_back(name.text);
    return names;
  }
  std::vector<SharedState> States(int replica = 1) {
    auto claim = store().TryClaim(ReplicaNo(replica), key_, false);
    if (!claim.ok() || !std::holds_alternative<SharedSession>(*claim)) {
      ADD_FAILURE() << "not claimed " << claim.status();
      return {};
    }
    EXPECT_EQ(std::get<SharedSession>(*claim).image, "image");
    return std::get<SharedSession>(*std::move(claim)).states;
  }

  const SessionKey key_ = {"tenant", "0123456789abcdef0123456789abcdef"};
  const std::string name_ = RedisBackend::KeyOf(key_);
  RedisBackend backend_;
};

TEST_F(RedisStateTest, OnlyLargeOnesLieApartAndWhatIsReplacedOrDroppedIsFreed) {
  ASSERT_TRUE(store().PutState(Write(), {"b", 1, Large('i', -8)}).ok());
  EXPECT_THAT(Apart(), IsEmpty()) << "as large as may be in the session";
  ASSERT_TRUE(Put("a", '1', -7).ok());
  ASSERT_TRUE(Put("c", '2').ok());
  EXPECT_THAT(Apart(), SizeIs(2));
  auto states = States();
  ASSERT_THAT(states, SizeIs(3));
  EXPECT_EQ(states[0].name + states[1].name + states[2].name, "abc");
  EXPECT_TRUE(states[0].snapshot == Large('1', -7) && states[2].snapshot == Large('2'));
  EXPECT_EQ(states[0].position, 7);
  const std::vector<std::string> before = Apart();
  ASSERT_TRUE(Put("a", '3').ok());
  EXPECT_THAT(Apart(), SizeIs(2));
  EXPECT_NE(Apart(), before);
  ASSERT_TRUE(store().PutState(Write(), {"c", 1, "small"}).ok());
  EXPECT_THAT(Apart(), SizeIs(1));
  EXPECT_EQ(States()[2].snapshot, "small");
  ASSERT_TRUE(store().DropState(Write(), "a").ok());
  EXPECT_THAT(Apart(), IsEmpty());
  EXPECT_EQ(Command({"HEXISTS", name_, "apart"}).integer, 0);
  EXPECT_THAT(States(), SizeIs(2));
}

TEST_F(RedisStateTest, EveryWriteProlongsThemAndTheyEndWithTheirSession) {
  ASSERT_TRUE(Put("", 's').ok());
  const std::string apart = Apart().at(0);
  const auto ends = [&] {
    const int64_t end = Command({"PEXPIRETIME", apart}).integer;
    EXPECT_EQ(Command({"PEXPIRETIME", name_}).integer, end);
    return end;
  };
  int64_t end = ends();
  int hours = 2;
  const auto longer = [&] { return Write(1, 1, std::chrono::hours(hours++)); };
  for (const auto& write : std::vector<std::function<absl::Status()>>{
           [&] { return store().Append(longer(), 1, "change"); },
           [&] { return store().PutImage(longer(), 1, "image"); },
           [&] {
             return store().PutState(longer(), {"other", 1, "state"});
           },
           [&] { return store().DropState(longer(), "other"); }}) {
    ASSERT_TRUE(write().ok());
    EXPECT_GT(ends(), end + 3'000'000);
    end = ends();
  }
  ASSERT_TRUE(store().Append(Write(1, 1, std::chrono::milliseconds(1)), 2, "change").ok());
  EXPECT_TRUE(test::Eventually([&] { return Command({"EXISTS", name_, apart}).integer == 0; }));
}

TEST_F(RedisStateTest, GoWithADeletedSessionAndWithAnOlderCopy) {
  ASSERT_TRUE(Put("", 's').ok());
  ASSERT_TRUE(store().PutImage(Write(2, 5), 3, "image").ok()) << "what is there is an older copy";
  EXPECT_THAT(Apart(), IsEmpty());
  EXPECT_THAT(States(2), IsEmpty());
  ASSERT_TRUE(store().PutState(Write(2, 5), {"", 7, Large('s')}).ok());
  Command({"HDEL", name_, "owner"});  // a damaged one's go, too
  ASSERT_TRUE(store().Delete(ReplicaNo(1), key_, kAnyFence).ok());
  EXPECT_THAT(Apart(), IsEmpty());
}

TEST_F(RedisStateTest, ARefusedOneChangesNothingAndLeavesNothing) {
  ASSERT_TRUE(store().GiveUp(ReplicaNo(1), key_, 1).ok());
  States(2);
  ASSERT_TRUE(store().PutState(Write(2, 2), {"", 7, Large('2')}).ok());
  const std::vector<std::string> apart = Apart();
  EXPECT_TRUE(absl::IsAborted(Put("", '1')));
  EXPECT_TRUE(absl::IsNotFound(store().PutState(Write(1, 9), {"", 7, Large('9')})));
  EXPECT_TRUE(absl::IsInvalidArgument(store().PutState(Write(1, 0), {"", 7, Large('0')})));
  // Not with the other; nor alone.
  for (const int64_t more : {31 << 19, 16 << 20}) {
    EXPECT_TRUE(
        absl::IsResourceExhausted(store().PutState(Write(2, 2), {"more", 7, Large('2', more)})));
  }
  EXPECT_EQ(Apart(), apart);
  EXPECT_TRUE(States(2).at(0).snapshot == Large('2'));
}

// As when the answer to the script is lost.
TEST_F(RedisStateTest, WhatIsStagedAndNeverPointedAtEnds) {
  Command({"ACL", "SETUSER", "ssmd", "-strlen"});
  EXPECT_TRUE(absl::IsUnavailable(Put("", 's')));
  ASSERT_THAT(Apart(), SizeIs(1));
  EXPECT_GT(Command({"PTTL", Apart()[0]}).integer, 0);
  EXPECT_LE(Command({"PTTL", Apart()[0]}).integer, 120'000);
}

// As when the script comes after what was staged has ended: the length is Redis's, not the
// caller's.
TEST_F(RedisStateTest, NothingIsPointedAtThatIsNotThere) {
  const std::string script = RedisScripts().put_state.text, token(32, 'a');
  const std::string states = "ssmd:v:" + name_.substr(7) + ":", tenant = name_.substr(7, 12);
  const auto point = [&](const char* length) {
    return Command({"EVAL", script, "6", name_, "ssmd:b:" + tenant, "ssmd:e:" + tenant,
                    "ssmd:l:" + tenant, states, "ssmd:r:" + ReplicaNo(1).id, key_.id,
                    ReplicaNo(1).id, "1", "60000", "0", "16000000", "", length, token,
                    ReplicaNo(1).incarnation})
        .elements.at(0)
        .text;
  };
  EXPECT_EQ(point("5"), "unstaged");
  Command({"SET", states + token, "value"});
  EXPECT_EQ(point("6"), "unstaged");
  EXPECT_THAT(States(), IsEmpty());
  EXPECT_EQ(point("5"), "ok");
}

TEST_F(RedisStateTest, TheLostAreLostAndTheirSessionIsNot) {
  const std::string foreign = "ssmd:v:00:other:" + ReplicaNo(1).id;
  const std::vector<std::function<void(const std::string&)>> damages = {
      [&](const std::string& apart) {
        Command({"DEL", apart});
      },
      [&](const std::string& apart) {
        Command({"APPEND", apart, "x"});
      },
      [&](const std::string& apart) {
        Command({"SETRANGE", apart, "7", "\xff"});
      },
      [&](const std::string& apart) {
        Command({"DEL", apart});
        Command({"RPUSH", apart, "list"});
      },
      // Pointers to what is somebody else's, or larger than a session may be.
      [&](const std::string& apart) {
        Command({"COPY", apart, foreign});
        Command({"HSET", name_, "s", Pointer(ReplicaNo(1).id, kSharedInlineBytesMax + 8)});
      },
      [&](const std::string& apart) {
        Command({"HSET", name_, "s", Pointer(apart.substr(apart.size() - 32), 1LL << 50)});
      }};
  for (size_t i = 0; i < damages.size(); ++i) {
    SCOPED_TRACE(i);
    ASSERT_TRUE(Put("", 's').ok());
    ASSERT_TRUE(store().PutState(Write(), {"small", 1, "state"}).ok());
    ASSERT_THAT(States(), SizeIs(2));
    damages[i](Apart().at(0));
    EXPECT_THAT(States(), SizeIs(1));
    ASSERT_TRUE(store().Delete(ReplicaNo(1), key_, kAnyFence).ok());
    EXPECT_EQ(Apart().size(), i == 4 ? 1U : 0U) << "somebody else's alone";
    Command({"FLUSHALL"});
    ASSERT_TRUE(store().PutImage(Write(), 0, "image").ok());
  }
}

TEST_F(RedisStateTest, APointerThatIsNoneIsDamageAndCostsNobodyAKey) {
  const SharedStore::Write other = {{"tenant", "x"}, ReplicaNo(1), 1, std::chrono::hours(1)};
  ASSERT_TRUE(store().PutImage(other, 0, "image").ok());
  for (const std::string& pointer :
       {Pointer("", 0), Pointer(ReplicaNo(1).id, -1), Pointer(std::string(32, ':'), 5),
        Pointer("../" + ReplicaNo(1).id, 5)}) {
    Command({"HSET", name_, "s", pointer});
    EXPECT_TRUE(absl::IsDataLoss(store().TryClaim(ReplicaNo(1), key_, false).status()));
    // Whoever writes it again mends it.
    ASSERT_TRUE(Put("", 's').ok());
    EXPECT_THAT(States(), SizeIs(1));
  }
  Command({"HSET", name_, "apart", std::string(100'000, 'a') + "*:x"});
  ASSERT_TRUE(store().Append(Write(), 1, "change").ok());
  ASSERT_TRUE(store().Delete(ReplicaNo(1), key_, 1).ok());
  EXPECT_EQ(Command({"EXISTS", RedisBackend::KeyOf(other.key)}).integer, 1);
}

// As before there were pointers.
TEST_F(RedisStateTest, OneThatLiesInItsSessionIsReadAndReplaced) {
  std::string value(8, '\0');
  value[0] = 5;
  Command({"HSET", name_, "s", value + Large('o')});
  const auto states = States();
  ASSERT_THAT(states, SizeIs(1));
  EXPECT_EQ(states[0].position, 5);
  EXPECT_TRUE(states[0].snapshot == Large('o'));
  Command({"HSET", name_, "bytes", "300000"});
  ASSERT_TRUE(Put("", 'n').ok());
  EXPECT_TRUE(States().at(0).snapshot == Large('n'));
  EXPECT_LT(Command({"HSTRLEN", name_, "s"}).integer, 64);
}

}  // namespace
}  // namespace ssmd
