// The Redis store where Redis is slow, full, gone, restarted, or not what it should be.
#include "engine/shared/redis_store.h"

#include <gmock/gmock.h>

#include <atomic>
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/errors.h"
#include "tests/unit/shared/shared_fixture.h"

namespace ssmd {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class RedisStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!test::RedisProcess::Installed()) GTEST_SKIP() << test::RedisProcess::kNotInstalled;
  }
  // Started by each test, with arguments of its own.
  void Start(const std::vector<std::string>& arguments = {}) {
    redis_ = test::RedisProcess::Start(arguments);
    ASSERT_NE(redis_, nullptr);
    options_.url = redis_->url();
  }
  // For tests that wait for no failure: on a busy machine nothing should fail.
  std::unique_ptr<SharedStore> Patient() {
    RedisOptions options = options_;
    options.timeout = std::chrono::seconds(20);
    return *OpenRedisStore(options);
  }
  std::unique_ptr<SharedStore> Open() { return *OpenRedisStore(options_); }

  SharedStore::Write Write(uint64_t fence = 1) const {
    return {key_, ReplicaNo(1), fence, std::chrono::hours(1)};
  }
  // Every kind of call, by name.
  std::vector<std::pair<std::string, absl::Status>> CallAll(SharedStore& store) {
    const Duration soon = std::chrono::milliseconds(1);
    return {{"Renew", store.Renew(ReplicaNo(1), std::chrono::hours(1)).status()},
            {"Leave", store.Leave(ReplicaNo(1))},
            {"Wanted", store.Wanted(ReplicaNo(1), Duration(0)).status()},
            {"Wanted, patiently", store.Wanted(ReplicaNo(1), soon).status()},
            {"TryClaim", store.TryClaim(ReplicaNo(1), key_, true).status()},
            {"GiveUp", store.GiveUp(ReplicaNo(1), key_, 1)},
            {"PutImage", store.PutImage(Write(), 0, "image")},
            {"Append", store.Append(Write(), 1, "change")},
            {"PutState", store.PutState(Write(), {"", 1, "state"})},
            {"DropState", store.DropState(Write(), "")},
            {"Delete", store.Delete(ReplicaNo(1), {"tenant", "other"}, 1)},
            {"List", store.List("tenant", "", 1).status()}};
  }

  const SessionKey key_ = {"tenant", "id"};
  std::unique_ptr<test::RedisProcess> redis_;
  RedisOptions options_;
};

TEST_F(RedisStoreTest, AFrozenServerCostsOneTimeoutAndHeals) {
  Start();
  const auto store = Open();
  const auto patient = Patient();
  ASSERT_TRUE(patient->PutImage(Write(), 0, "image").ok());
  options_.retry_after = std::chrono::minutes(1);
  const auto cautious = Open();
  redis_->Freeze();
  const absl::Status slow = cautious->Append(Write(), 1, "change");
  EXPECT_TRUE(absl::IsUnavailable(slow)) << slow;
  EXPECT_THAT(std::string(slow.message()), HasSubstr("in time"));
  for (const auto& [call, status] : CallAll(*cautious)) {
    EXPECT_TRUE(absl::IsUnavailable(status)) << call << ": " << status;
    EXPECT_TRUE(RetryAfterOf(status).has_value()) << call << " was not refused at once";
  }
  EXPECT_FALSE(cautious->figures().reachable);
  EXPECT_TRUE(absl::IsUnavailable(store->Append(Write(), 1, "change")));
  redis_->Thaw();
  // The change that was sent is there, too, or comes now: it is the same.
  EXPECT_TRUE(test::Eventually([&] { return store->Append(Write(), 1, "change").ok(); }));
  EXPECT_TRUE(store->figures().reachable);
  EXPECT_GT(store->figures().failures, 0);
  const auto claim = patient->TryClaim(ReplicaNo(1), key_, false);
  ASSERT_TRUE(claim.ok() && std::holds_alternative<SharedSession>(*claim));
  EXPECT_THAT(std::get<SharedSession>(*claim).changes, SizeIs(1));
}

TEST_F(RedisStoreTest, WritesThatWereStuckInAFrozenServerDoNoHarmWhenItThaws) {
  Start();
  const auto patient = Patient();
  ASSERT_TRUE(patient->PutImage(Write(), 0, "image").ok());
  const SessionKey other = {"tenant", "other"};
  options_.retry_after = std::chrono::milliseconds(1);
  // Each on a store, and so on a connection of its own: Redis may take them in any order.
  redis_->Freeze();
  EXPECT_FALSE(Open()->PutImage(Write(), 3, "of 3").ok());
  EXPECT_FALSE(Open()->PutImage(Write(), 2, "of 2").ok());
  EXPECT_FALSE(Open()->Append(Write(), 1, "change").ok());
  EXPECT_FALSE(Open()->Delete(ReplicaNo(1), other, 1).ok());
  redis_->Thaw();
  ASSERT_TRUE(patient->Delete(ReplicaNo(1), other, 1).ok());
  ASSERT_TRUE(patient->PutImage(Write(), 3, "of 3").ok());
  const auto claim = patient->TryClaim(ReplicaNo(1), key_, false);
  ASSERT_TRUE(claim.ok() && std::holds_alternative<SharedSession>(*claim));
  EXPECT_EQ(std::get<SharedSession>(*claim).image, "of 3");
  EXPECT_EQ(std::get<SharedSession>(*claim).last_number(), 3U);
}

TEST_F(RedisStoreTest, AServerThatIsGoneIsUnavailableAndComesBackEmpty) {
  Start();
  const auto store = Open();
  ASSERT_TRUE(test::Eventually([&] { return store->PutImage(Write(), 0, "image").ok(); }));
  redis_->Kill();
  for (const auto& [call, status] : CallAll(*store)) {
    EXPECT_TRUE(absl::IsUnavailable(status)) << call << ": " << status;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("redis.sock")));
  }
  ASSERT_TRUE(redis_->Restart());
  EXPECT_TRUE(
      test::Eventually([&] { return absl::IsNotFound(store->Append(Write(), 1, "change")); }));
  EXPECT_TRUE(test::Eventually([&] { return store->PutImage(Write(), 1, "image").ok(); }));
}

TEST_F(RedisStoreTest, ARestartBetweenTwoCallsIsNotNoticed) {
  Start();
  const auto store = Patient();
  ASSERT_TRUE(store->PutImage(Write(), 0, "image").ok());
  redis_->Kill();
  ASSERT_TRUE(redis_->Restart());
  EXPECT_TRUE(absl::IsNotFound(store->Append(Write(), 1, "change")));
  // Nor that it has forgotten the scripts.
  redis_->Command({"SCRIPT", "FLUSH"});
  EXPECT_TRUE(store->PutImage(Write(), 0, "image").ok());
  EXPECT_EQ(store->figures().failures, 0);
}

TEST_F(RedisStoreTest, AFullServerRefusesWhatGrowsAndNothingElse) {
  Start({"--maxmemory-policy", "noeviction"});
  options_.tenant_bytes = 1 << 20;
  const auto store = Patient();
  const SharedStore::Write other = {{"tenant", "other"}, ReplicaNo(1), 1, std::chrono::hours(1)};
  ASSERT_TRUE(store->Renew(ReplicaNo(1), std::chrono::hours(1)).ok());
  SharedStore::Write listed = Write();
  listed.summary = "summary";
  ASSERT_TRUE(store->PutImage(listed, 0, "image").ok());
  ASSERT_TRUE(store->PutState(Write(), {"state", 1, "state"}).ok());
  ASSERT_TRUE(store->PutImage(other, 0, "image").ok());

  redis_->Command({"CONFIG", "SET", "maxmemory", "1"});
  // Known scripts or not.
  for (int round = 0; round < 2; ++round) {
    const absl::Status status = store->PutImage(Write(), 1, "more");
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("maxmemory"));
    EXPECT_TRUE(absl::IsResourceExhausted(store->Append(Write(), 1, "more")));
    EXPECT_TRUE(absl::IsResourceExhausted(store->PutState(Write(), {"more", 1, "more"})));
    EXPECT_TRUE(store->figures().reachable);
    // Who owns what goes on.
    EXPECT_TRUE(store->Renew(ReplicaNo(1), std::chrono::hours(1)).ok());
    EXPECT_TRUE(store->DropState(Write(), "state").ok());
    redis_->Command({"SCRIPT", "FLUSH"});
  }
  auto claim = store->TryClaim(ReplicaNo(3), other.key, false);
  ASSERT_TRUE(claim.ok() && std::holds_alternative<OwnedElsewhere>(*claim)) << claim.status();
  EXPECT_THAT(*store->Wanted(ReplicaNo(1), Duration(0)), SizeIs(1));
  EXPECT_TRUE(store->GiveUp(ReplicaNo(1), key_, 1).ok());
  claim = store->TryClaim(ReplicaNo(2), key_, false);
  ASSERT_TRUE(claim.ok() && std::holds_alternative<SharedSession>(*claim)) << claim.status();
  EXPECT_EQ(std::get<SharedSession>(*claim).image, "image");
  EXPECT_TRUE(store->Delete(ReplicaNo(1), other.key, 1).ok());
  const auto list = store->List("tenant", "", 10);
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(list->sessions, SizeIs(1));

  redis_->Command({"CONFIG", "SET", "maxmemory", "0"});
  EXPECT_TRUE(store->Append({key_, ReplicaNo(2), 2, std::chrono::hours(1)}, 1, "change").ok());
}

TEST_F(RedisStoreTest, APasswordIsAskedForSentAndNeverTold) {
  Start({"--requirepass", "secret", "--user", "ssmd", "on", ">hidden", "~*", "+@all"});
  const struct {
    std::string user, password, hint;
  } cases[] = {{"", "", "asks for a password"},
               {"", "wrong", "refuses the user or the password"},
               {"ssmd", "wrong", "refuses the user or the password"},
               {"nobody", "hidden", "refuses the user or the password"},
               {"", "secret", ""},
               {"ssmd", "hidden", ""}};
  for (const auto& [user, password, hint] : cases) {
    if (!password.empty()) options_.url = redis_->UrlOf(user, password);
    const auto store = Patient();
    const absl::Status status = store->Renew(ReplicaNo(1), std::chrono::hours(1)).status();
    if (hint.empty()) {
      EXPECT_TRUE(status.ok()) << status;
      continue;
    }
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(hint));
    for (const char* told : {"secret", "hidden", "wrong", "redis.sock", "nobody"}) {
      EXPECT_THAT(std::string(status.message()), Not(HasSubstr(told)));
    }
  }
}

TEST_F(RedisStoreTest, AUserWithTooFewRightsIsTold) {
  Start({"--user", "ssmd", "on", ">pw", "~ssmd:*", "-@all", "+evalsha", "+eval"});
  options_.url = redis_->UrlOf("ssmd", "pw");
  const absl::Status status = Patient()->Renew(ReplicaNo(1), std::chrono::hours(1)).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("README"));
}

TEST_F(RedisStoreTest, TheReadmeListsTheRightsThatTheContractWasTestedWith) {
  std::ifstream file(SSMD_SHARED_README);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_THAT(text.str(), HasSubstr(absl::StrJoin(RedisRights(), " ")));
}

TEST_F(RedisStoreTest, ADatabaseOfTheUrlIsUsed) {
  Start({"--port", "0"});
  RedisAddress address;
  address.socket_path = redis_->url().substr(std::string("unix://").size());
  address.database = 3;
  RedisServer server(address, 0);
  RedisClient client(&server);
  const TimePoint later = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const auto set = client.Call({"SET", "key", "value"}, later, 1024);
  ASSERT_TRUE(set.ok() && !set->is_error());
  EXPECT_EQ(redis_->Command({"DBSIZE"}).integer, 0);
  address.database = 99;
  RedisServer without(address, 0);
  const auto refused = RedisClient(&without).Call({"PING"}, later, 1024);
  EXPECT_TRUE(absl::IsUnavailable(refused.status()));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("no database"));
}

TEST_F(RedisStoreTest, WhatIsNoSessionIsDataLossUntilItIsDeleted) {
  Start();
  const auto store = Patient();
  const std::string name = RedisBackend::KeyOf(key_);
  const std::vector<std::vector<std::string_view>> damages = {
      {"SET", name, "text"},
      {"RPUSH", name, "list"},
      {"HSET", name, "owner", ""},
      {"HSET", name, "owner", "", "fence", "x", "image_number", "0", "last", "0", "bytes", "0"},
      {"HSET", name, "owner", "me", "fence", "1", "image_number", "0", "last", "0", "bytes", "0"},
      {"HSET", name, "owner", "", "fence", "1", "image_number", "0", "last", "9999", "bytes", "0"},
      {"HSET", name, "owner", "", "fence", "1", "image_number", "0", "last", "1", "bytes", "0"},
      {"HSET", name, "owner", "", "fence", "9007199254740991", "image_number", "0", "last", "0",
       "bytes", "0"}};
  for (const auto& damage : damages) {
    redis_->Command({"FLUSHALL"});
    redis_->Command(damage);
    const auto claim = store->TryClaim(ReplicaNo(1), key_, true);
    EXPECT_TRUE(absl::IsDataLoss(claim.status())) << damage.back() << claim.status();
    ASSERT_TRUE(store->Delete(ReplicaNo(1), key_, kAnyFence).ok()) << damage.back();
    const auto gone = store->TryClaim(ReplicaNo(1), key_, true);
    EXPECT_TRUE(gone.ok() && std::holds_alternative<NoSuchSession>(*gone));
  }
  redis_->Command({"FLUSHALL"});
  redis_->Command({"SET", name, "text"});
  EXPECT_TRUE(absl::IsDataLoss(store->PutImage(Write(), 0, "image")));
  EXPECT_TRUE(absl::IsDataLoss(store->Append(Write(), 1, "change")));
  EXPECT_TRUE(absl::IsDataLoss(store->PutState(Write(), {"", 1, "state"})));
  EXPECT_TRUE(absl::IsDataLoss(store->DropState(Write(), "")));
  EXPECT_TRUE(absl::IsDataLoss(store->GiveUp(ReplicaNo(1), key_, 1)));
}

TEST_F(RedisStoreTest, ATenantsAccountThatIsSomethingElseRefusesWritesWhole) {
  Start();
  options_.tenant_bytes = 1 << 20;
  const auto store = Patient();
  const std::string tenant = absl::BytesToHexString("tenant");
  for (const char* kind : {"ssmd:b:", "ssmd:e:", "ssmd:l:"}) {
    redis_->Command({"FLUSHALL"});
    redis_->Command({"SET", kind + tenant, "text"});
    const absl::Status status = store->PutImage(Write(), 0, "image");
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_EQ(redis_->Command({"DBSIZE"}).integer, 1) << "written in part";

    redis_->Command({"FLUSHALL"});
    ASSERT_TRUE(store->PutImage(Write(), 0, "image").ok());
    redis_->Command({"SET", kind + tenant, "text"});
    EXPECT_TRUE(absl::IsUnavailable(store->Delete(ReplicaNo(1), key_, 1)));
    const auto claim = store->TryClaim(ReplicaNo(1), key_, false);
    EXPECT_TRUE(claim.ok() && std::holds_alternative<SharedSession>(*claim)) << "deleted in part";
  }
}

TEST_F(RedisStoreTest, AnAccountHoldsNothingOfSessionsThatEnded) {
  Start();
  options_.tenant_bytes = 1 << 20;
  const auto store = Patient();
  for (int i = 0; i < 150; ++i) {
    const SharedStore::Write shortly = {
        {"tenant", absl::StrCat(i)}, ReplicaNo(1), 1, std::chrono::milliseconds(20)};
    ASSERT_TRUE(store->PutImage(shortly, 0, "image").ok());
  }
  const std::string tenant = absl::BytesToHexString("tenant");
  EXPECT_TRUE(test::Eventually([&] {
    EXPECT_TRUE(store->PutImage(Write(), 0, "image").ok());
    return redis_->Command({"ZCARD", "ssmd:e:" + tenant}).integer == 1;
  }));
  EXPECT_EQ(redis_->Command({"HLEN", "ssmd:b:" + tenant}).integer, 2) << "one, and the total";
  ASSERT_TRUE(store->Delete(ReplicaNo(1), key_, 1).ok());
  EXPECT_EQ(redis_->Command({"ZCARD", "ssmd:e:" + tenant}).integer, 0);
  EXPECT_EQ(redis_->Command({"HLEN", "ssmd:b:" + tenant}).integer, 1);
}

TEST_F(RedisStoreTest, WhoIsOverALimitThatWasLoweredMayStillShrink) {
  Start();
  options_.tenant_bytes = 1 << 20;
  const auto before = Patient();
  ASSERT_TRUE(before->PutImage(Write(), 0, std::string(5000, 'i')).ok());
  ASSERT_TRUE(before->PutState(Write(), {"state", 1, std::string(1000, 's')}).ok());
  options_.tenant_bytes = 1000;
  const auto after = Patient();
  EXPECT_TRUE(absl::IsResourceExhausted(after->Append(Write(), 1, "change")));
  EXPECT_TRUE(after->DropState(Write(), "state").ok());
  EXPECT_TRUE(after->PutImage(Write(), 0, std::string(4000, 'i')).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(after->PutImage(Write(), 0, std::string(4001, 'i'))));
}

TEST_F(RedisStoreTest, WantedWaitsForAWishAndHoldsUpNobody) {
  Start();
  options_.connections = 1;
  const auto store = Patient();
  ASSERT_TRUE(store->Renew(ReplicaNo(1), std::chrono::hours(1)).ok());
  ASSERT_TRUE(store->PutImage(Write(), 0, "image").ok());
  absl::StatusOr<std::vector<SessionKey>> wanted;
  std::thread waiting([&] { wanted = store->Wanted(ReplicaNo(1), std::chrono::minutes(1)); });
  // It is waiting once Redis says that a client is blocked.
  EXPECT_TRUE(test::Eventually([&] {
    return redis_->Command({"INFO", "clients"}).text.find("blocked_clients:1") != std::string::npos;
  }));
  ASSERT_TRUE(store->TryClaim(ReplicaNo(2), key_, false).ok());
  waiting.join();
  ASSERT_TRUE(wanted.ok()) << wanted.status();
  ASSERT_THAT(*wanted, SizeIs(1));
  EXPECT_EQ(wanted->front().id, "id");
  const auto none = store->Wanted(ReplicaNo(1), std::chrono::milliseconds(5));
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_THAT(*none, SizeIs(0));
}

TEST_F(RedisStoreTest, MoreCallersThanConnectionsTakeTurns) {
  Start();
  options_.connections = 2;
  const auto store = Patient();
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const SharedStore::Write write = {
          {"tenant", absl::StrCat(i)}, ReplicaNo(i), 1, std::chrono::hours(1)};
      failures += store->PutImage(write, 0, "image").ok() ? 0 : 1;
      for (uint64_t change = 1; change <= 20; ++change) {
        failures += store->Append(write, change, absl::StrCat(change)).ok() ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(store->figures().calls, 8 * 21);
  EXPECT_EQ(store->figures().failures, 0);
}

TEST_F(RedisStoreTest, LargeSessionsGoThroughWhole) {
  Start();
  const auto store = Patient();
  std::string large(24 << 20, '\0');
  for (size_t i = 0; i < large.size(); i += 4096) large[i] = static_cast<char>(i / 4096);
  ASSERT_TRUE(store->PutImage(Write(), 0, "image").ok());
  ASSERT_TRUE(store->PutState(Write(), {"", 9, large}).ok());
  const auto claim = store->TryClaim(ReplicaNo(1), key_, false);
  ASSERT_TRUE(claim.ok() && std::holds_alternative<SharedSession>(*claim)) << claim.status();
  EXPECT_TRUE(std::get<SharedSession>(*claim).states.at(0).snapshot == large);
  EXPECT_GT(store->figures().bytes_written, int64_t{24} << 20);
  EXPECT_GT(store->figures().bytes_read, int64_t{24} << 20);
}

TEST_F(RedisStoreTest, AnAnswerThatIsTooLargeIsRefused) {
  Start();
  const auto writer = Patient();
  ASSERT_TRUE(writer->PutImage(Write(), 0, std::string(200'000, 'x')).ok());
  options_.reply_bytes_max = 100'000;
  const auto reader = Patient();
  const auto claim = reader->TryClaim(ReplicaNo(1), key_, false);
  EXPECT_TRUE(absl::IsUnavailable(claim.status()));
  EXPECT_THAT(std::string(claim.status().message()), HasSubstr("reply_bytes_max"));
}

}  // namespace
}  // namespace ssmd
