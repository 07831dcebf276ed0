#include "engine/shared/redis_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/errors.h"
#include "tests/unit/shared/garbage_server.h"

namespace ssmd {
namespace {

using std::chrono::milliseconds;

RedisPool::Options OptionsOf(const test::GarbageServer& server, Duration timeout) {
  RedisPool::Options options;
  options.address = *ParseRedisUrl(server.Url());
  options.timeout = timeout;
  options.retry_after = std::chrono::minutes(1);
  return options;
}

const RedisPool::Answer kAnything = {[](const RedisReply&) { return true; }, 1024};

TEST(RedisPool, AfterAFailureNobodyWaits) {
  const test::GarbageServer server({.reply = ""});
  RedisPool pool(OptionsOf(server, milliseconds(5)));
  const auto first = pool.Call({"PING"}, kAnything, pool.Deadline());
  EXPECT_TRUE(absl::IsUnavailable(first.status()));
  EXPECT_FALSE(RetryAfterOf(first.status()).has_value());
  const auto second = pool.Call({"PING"}, kAnything, pool.Deadline());
  EXPECT_TRUE(RetryAfterOf(second.status()).has_value()) << "tried again at once";
  const auto patient = pool.CallPatiently({"BLPOP"}, milliseconds(5), kAnything);
  EXPECT_TRUE(RetryAfterOf(patient.status()).has_value());
  EXPECT_EQ(pool.figures().calls, 3);
  EXPECT_EQ(pool.figures().failures, 3);
}

TEST(RedisPool, WhoHadNoTimeLeftProvesNothing) {
  const test::GarbageServer server({.reply = ""});
  RedisPool pool(OptionsOf(server, std::chrono::seconds(20)));
  const TimePoint soon = std::chrono::steady_clock::now() + milliseconds(5);
  for (int i = 0; i < 2; ++i) {
    const auto late = pool.Call({"PING"}, kAnything, soon);
    EXPECT_TRUE(absl::IsUnavailable(late.status()));
    EXPECT_FALSE(RetryAfterOf(late.status()).has_value()) << "taken for the server's failure";
  }
}

TEST(RedisPool, ScriptsAreSentWholeWhereTheyAreNotKnown) {
  // A server that never knows one is not asked for ever.
  const test::GarbageServer server({.reply = "-NOSCRIPT No matching script.\r\n"});
  RedisPool pool(OptionsOf(server, std::chrono::seconds(20)));
  const RedisScript script("no-writes", "return {'ok'}");
  EXPECT_TRUE(absl::IsUnavailable(pool.Run(script, {}, {}, pool.Deadline()).status()));
}

}  // namespace
}  // namespace ssmd
