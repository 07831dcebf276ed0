// The stores that the contract of engine/shared/shared_store.h is tested on: the one in memory,
// and Redis, as a user who may do what the README lists and no more.
#ifndef SSMD_TESTS_UNIT_SHARED_SHARED_FIXTURE_H_
#define SSMD_TESTS_UNIT_SHARED_SHARED_FIXTURE_H_

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "engine/shared/redis_store.h"
#include "engine/shared/shared_limits.h"
#include "engine/shared/shared_store.h"
#include "tests/support/eventually.h"
#include "tests/support/memory_shared_store.h"
#include "tests/support/redis_process.h"

namespace ssmd {

// What a Redis user needs, as in the README.
inline const std::vector<std::string>& RedisRights() {
  static const std::vector<std::string> rights = {
      "~ssmd:*",    "resetchannels",  "-@all",        "+ping", "+select", "+eval",    "+evalsha",
      "+hgetall",   "+blpop",         "+lpop",        "+del",  "+set",    "+get",     "+exists",
      "+hmget",     "+hget",          "+hset",        "+hdel", "+hlen",   "+hstrlen", "+pexpire",
      "+pexpireat", "+time",          "+llen",        "+lpos", "+rpush",  "+zadd",    "+zrem",
      "+zscore",    "+zrangebyscore", "+zrangebylex", "+mget", "+strlen", "+unlink"};
  return rights;
}

// A process of that replica: the first, or another one.
inline Replica ReplicaNo(int number, int process = 0) {
  const char digit = "0123456789abcdef"[number];
  const std::string id(32, digit);
  std::string incarnation = id;
  incarnation.back() = "0123456789abcdef"[process];
  return {id, std::string("replica-") + digit + ":8080", incarnation};
}

// Of a test that gives it one, a limit of the tenant's bytes.
struct MemoryBackend {
  static constexpr bool kIsRedis = false;

  bool Start(int64_t tenant_bytes, int64_t session_bytes_max) {
    store_ = std::make_unique<test::MemorySharedStore>(
        &clock_, test::MemorySharedStore::Options{tenant_bytes, session_bytes_max});
    return true;
  }
  SharedStore& store() { return *store_; }
  SharedStore& other() { return *store_; }
  // Whether `condition` comes to hold as time goes by.
  template <typename Condition>
  bool InTime(Condition condition) {
    for (int i = 0; i < 1000; ++i) {
      if (condition()) return true;
      clock_.Advance(std::chrono::milliseconds(10));
    }
    return false;
  }
  int64_t TenantBytes(const std::string& tenant) { return store_->TenantBytes(tenant); }
  Duration TimeLeft(const SessionKey& key) {
    return store_->Save().sessions.at({key.tenant, key.id}).end - clock_.Now();
  }
  void ForgetEverything() { store_->Restore({}); }

  FakeClock clock_;
  std::unique_ptr<test::MemorySharedStore> store_;
};

struct RedisBackend {
  static constexpr bool kIsRedis = true;

  // False where there is no Redis.
  bool Start(int64_t tenant_bytes, int64_t session_bytes_max) {
    if (!test::RedisProcess::Installed()) return false;
    std::vector<std::string> arguments = {"--user", "ssmd", "on", ">secret"};
    arguments.insert(arguments.end(), RedisRights().begin(), RedisRights().end());
    redis_ = test::RedisProcess::Start(arguments);
    RedisOptions options;
    options.url = redis_->UrlOf("ssmd", "secret");
    // Nothing here is about time, and the machine may be busy.
    options.timeout = std::chrono::seconds(20);
    options.tenant_bytes = tenant_bytes;
    options.reply_bytes_max = session_bytes_max;
    store_ = *OpenRedisStore(options);
    other_ = *OpenRedisStore(options);
    return true;
  }
  SharedStore& store() { return *store_; }
  SharedStore& other() { return *other_; }
  template <typename Condition>
  bool InTime(Condition condition) {
    return test::Eventually(condition);
  }
  int64_t TenantBytes(const std::string& tenant) {
    int64_t bytes = 0;
    const auto total =
        redis_->Command({"HGET", "ssmd:b:" + absl::BytesToHexString(tenant), "total"});
    const bool is_number = !total.is_string() || absl::SimpleAtoi(total.text, &bytes);
    EXPECT_TRUE(is_number) << total.text;
    return bytes;
  }
  Duration TimeLeft(const SessionKey& key) {
    const std::string name = KeyOf(key);
    return std::chrono::milliseconds(redis_->Command({"PTTL", name}).integer);
  }
  void ForgetEverything() { redis_->Command({"FLUSHALL"}); }
  static std::string KeyOf(const SessionKey& key) {
    return "ssmd:s:" + absl::BytesToHexString(key.tenant) + ":" + key.id;
  }

  std::unique_ptr<test::RedisProcess> redis_;
  std::unique_ptr<SharedStore> store_, other_;
};

template <typename Backend>
class SharedStoreTest : public ::testing::Test {
 protected:
  static constexpr std::chrono::seconds kLong{3600};
  static constexpr std::chrono::milliseconds kShort{50};

  // For tests that need limits, to be called first.
  void StartWith(int64_t tenant_bytes, int64_t session_bytes_max) {
    if (!backend_.Start(tenant_bytes, session_bytes_max)) {
      GTEST_SKIP() << test::RedisProcess::kNotInstalled;
    }
  }
  void SetUp() override { StartWith(0, int64_t{256} << 20); }

  SharedStore& store() { return backend_.store(); }
  SharedStore::Write WriteOf(const SessionKey& key, int replica, uint64_t fence) {
    return {key, ReplicaNo(replica), fence, kLong};
  }
  // A new session of replica 1, of an image alone.
  void Make(const SessionKey& key) {
    ASSERT_TRUE(store().PutImage(WriteOf(key, 1, 1), 0, "image").ok());
  }
  absl::StatusOr<Claim> TryClaim(int replica, const SessionKey& key, bool take_over = false) {
    return store().TryClaim(ReplicaNo(replica), key, take_over);
  }
  // The session as its next owner finds it; an empty one, and a failure, when there is none.
  SharedSession Claimed(int replica, const SessionKey& key, bool take_over = false) {
    auto claim = TryClaim(replica, key, take_over);
    EXPECT_TRUE(claim.ok()) << claim.status();
    if (!claim.ok() || !std::holds_alternative<SharedSession>(*claim)) {
      ADD_FAILURE() << "not claimed";
      return {};
    }
    return std::get<SharedSession>(*std::move(claim));
  }
  bool IsNowhere(const SessionKey& key) {
    const auto claim = TryClaim(9, key);
    EXPECT_TRUE(claim.ok()) << claim.status();
    return claim.ok() && std::holds_alternative<NoSuchSession>(*claim);
  }
  // What is said of a session that somebody else has.
  OwnedElsewhere Elsewhere(int replica, const SessionKey& key) {
    const auto claim = TryClaim(replica, key);
    EXPECT_TRUE(claim.ok()) << claim.status();
    if (!claim.ok() || !std::holds_alternative<OwnedElsewhere>(*claim)) {
      ADD_FAILURE() << "not owned elsewhere";
      return {};
    }
    return std::get<OwnedElsewhere>(*claim);
  }

  const SessionKey key_ = {"tenant", "0123456789abcdef0123456789abcdef"};
  Backend backend_;
};

using Backends = ::testing::Types<MemoryBackend, RedisBackend>;

class BackendName {
 public:
  template <typename Backend>
  static std::string GetName(int /*index*/) {
    return Backend::kIsRedis ? "Redis" : "Memory";
  }
};

}  // namespace ssmd

#endif  // SSMD_TESTS_UNIT_SHARED_SHARED_FIXTURE_H_
