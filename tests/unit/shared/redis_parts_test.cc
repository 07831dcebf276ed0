// The parts that the Redis store is made of, each alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <set>

#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"
#include "engine/shared/circuit_breaker.h"
#include "engine/shared/host_lookup.h"
#include "engine/shared/redis_address.h"
#include "engine/shared/redis_errors.h"
#include "engine/shared/redis_reply.h"
#include "engine/shared/redis_scripts.h"
#include "engine/shared/redis_session.h"
#include "engine/shared/redis_store.h"

namespace ssmd {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(RedisAddress, IsReadFromAUrl) {
  const auto whole = ParseRedisUrl("redis://me:p%40ss%3aw/rd@redis.example:6380/3");
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->user, "me");
  EXPECT_EQ(whole->password, "p@ss:w/rd");
  EXPECT_EQ(whole->host, "redis.example");
  EXPECT_EQ(whole->port, 6380);
  EXPECT_EQ(whole->database, 3);
  const auto least = ParseRedisUrl("redis://localhost");
  ASSERT_TRUE(least.ok());
  EXPECT_EQ(least->port, 6379);
  EXPECT_EQ(least->database, 0);
  EXPECT_EQ(least->password, "");
  const auto v6 = ParseRedisUrl("redis://:pw@[::1]:7000/");
  ASSERT_TRUE(v6.ok()) << v6.status();
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->port, 7000);
  EXPECT_EQ(v6->user, "");
  EXPECT_EQ(v6->password, "pw");
  EXPECT_EQ(ParseRedisUrl("redis://[::1]")->host, "::1");
  const auto local = ParseRedisUrl("unix://me:pw@/run/redis%20here.sock");
  ASSERT_TRUE(local.ok()) << local.status();
  EXPECT_EQ(local->socket_path, "/run/redis here.sock");
  EXPECT_EQ(local->password, "pw");
  EXPECT_EQ(ParseRedisUrl("unix:///run/redis.sock")->socket_path, "/run/redis.sock");
}

TEST(RedisAddress, RefusesWhatIsNoneAndRepeatsNothingOfIt) {
  const std::string bad[] = {"",
                             "secret",
                             "http://secret",
                             "redis://",
                             "redis://secret@host",
                             "redis://me:@host",
                             "redis://me:secret%4@host",
                             "redis://me:secret%00@host",
                             "redis://me:secret@",
                             "redis://me:secret@host:0",
                             "redis://me:secret@host:65536",
                             "redis://me:secret@host:port",
                             "redis://me:secret@host:",
                             "redis://me:secret@host/secret",
                             "redis://me:secret@host/-1",
                             "redis://me:secret@[::1",
                             "redis://me:secret@[::1]6379",
                             "redis://me:secret@" + std::string(256, 'h'),
                             "unix://me:secret@relative",
                             "unix://",
                             "unix:///" + std::string(200, 's')};
  for (const std::string& url : bad) {
    const auto address = ParseRedisUrl(url);
    EXPECT_TRUE(absl::IsInvalidArgument(address.status())) << url;
    EXPECT_THAT(std::string(address.status().message()), Not(HasSubstr("secret"))) << url;
  }
  EXPECT_THAT(std::string(ParseRedisUrl("rediss://host").status().message()), HasSubstr("TLS"));
}

// A reader that is given `bytes` in pieces of `size`.
absl::StatusOr<std::optional<RedisReply>> ReadPieces(const std::string& bytes, size_t size,
                                                     int64_t bytes_max = 1 << 20) {
  RedisReplyReader reader;
  reader.Expect(bytes_max);
  absl::StatusOr<std::optional<RedisReply>> reply = std::optional<RedisReply>();
  for (size_t at = 0; at < bytes.size(); at += size) {
    reply = reader.Feed(std::string_view(bytes).substr(at, size));
    if (!reply.ok() || reply->has_value()) break;
  }
  return reply;
}

TEST(RedisReply, IsReadInPiecesOfAnySize) {
  const std::string whole =
      std::string("*5\r\n$5\r\na\r\n\0b\r\n", 15) + ":-12\r\n$-1\r\n*2\r\n+OK\r\n*0\r\n-ERR no\r\n";
  for (size_t size = 1; size <= whole.size(); ++size) {
    const auto reply = ReadPieces(whole, size);
    ASSERT_TRUE(reply.ok() && reply->has_value()) << size;
    ASSERT_EQ((*reply)->elements.size(), 5U);
    EXPECT_EQ((*reply)->elements[0].text, std::string("a\r\n\0b", 5));
    EXPECT_EQ((*reply)->elements[1].integer, -12);
    EXPECT_EQ((*reply)->elements[2].type, RedisReply::Type::kNil);
    EXPECT_EQ((*reply)->elements[3].elements[0].type, RedisReply::Type::kStatus);
    EXPECT_EQ((*reply)->elements[3].elements[1].type, RedisReply::Type::kArray);
    EXPECT_TRUE((*reply)->elements[4].is_error());
    EXPECT_FALSE((*reply)->is_strings());
  }
}

TEST(RedisReply, HostileOnesAreRefusedBeforeMemoryIsAskedFor) {
  std::string deep;
  for (int i = 0; i < 20; ++i) deep += "*1\r\n";
  const std::string bad[] = {"HTTP/1.1 400 Bad Request\r\n\r\n",
                             "*2147483647\r\n",
                             "*99999999999999999999\r\n",
                             "*-5\r\n",
                             "$-5\r\n",
                             "$x\r\n",
                             ":12x\r\n",
                             ":\r\n",
                             "*2\r\n*10000\r\n",
                             "$99999999999999999999\r\n",
                             std::string(1, '\0'),
                             deep,
                             "+OK\r\n+OK\r\n",
                             "+OK\r\n+"};
  for (const std::string& bytes : bad) {
    const auto reply = ReadPieces(bytes, bytes.size());
    if (bytes.starts_with("*2\r\n*10000")) {
      EXPECT_TRUE(reply.ok()) << bytes;  // not too many yet
    } else {
      EXPECT_TRUE(absl::IsUnavailable(reply.status())) << bytes;
    }
  }
  // Many arrays that are too many together.
  std::string many = "*10\r\n";
  for (int i = 0; i < 9; ++i) {
    many += "*2000\r\n";
    for (int j = 0; j < 2000; ++j) many += ":1\r\n";
  }
  EXPECT_TRUE(absl::IsUnavailable(ReadPieces(many, many.size()).status()));
  // What does not end is cut off where it has become too large.
  EXPECT_TRUE(absl::IsUnavailable(ReadPieces("$100\r\n" + std::string(200, 'x'), 7, 50).status()));
  EXPECT_TRUE(absl::IsUnavailable(ReadPieces("+" + std::string(200, 'x'), 7, 50).status()));
}

TEST(RedisErrors, SayWhatToDoAndRepeatNothing) {
  const std::pair<std::string, std::string> known[] = {
      {"LOADING Redis is loading the dataset in memory", "starting"},
      {"BUSY Redis is busy running a script", "busy"},
      {"MASTERDOWN Link with MASTER is down", "primary"},
      {"READONLY You can't write against a read only replica.", "primary"},
      {"-READONLY Can not run script with write flag on readonly replica", "primary"},
      {"MISCONF Redis is configured to save RDB snapshots", "disk"},
      {"MOVED 3999 10.1.2.3:6381", "Cluster"},
      {"CLUSTERDOWN Hash slot not served", "Cluster"},
      {"NOAUTH Authentication required.", "password"},
      {"WRONGPASS invalid username-password pair or user is disabled.", "refuses the user"},
      {"NOPERM User secret has no permissions", "README"},
      {"ERR Error compiling script (new function): user_script:1:", "7.0"},
      {"ERR max number of clients reached", "maxclients"},
  };
  for (const auto& [text, hint] : known) {
    const RedisError error = UnderstandRedisError(text);
    EXPECT_TRUE(absl::IsUnavailable(error.status)) << text;
    EXPECT_THAT(std::string(error.status.message()), HasSubstr(hint)) << text;
    EXPECT_TRUE(error.of_server) << text;
  }
  EXPECT_TRUE(absl::IsResourceExhausted(UnderstandRedisError("OOM command not allowed").status));
  EXPECT_TRUE(absl::IsResourceExhausted(UnderstandRedisError("-OOM allow-oom flag").status));
  EXPECT_FALSE(UnderstandRedisError("OOM command not allowed").of_server);
  for (const std::string text :
       {"ERR 10.1.2.3 secret", "secret", "", "SECRETSECRETSECRETSECRET x"}) {
    const RedisError error = UnderstandRedisError(text);
    EXPECT_TRUE(absl::IsUnavailable(error.status));
    EXPECT_FALSE(error.of_server);
    EXPECT_THAT(std::string(error.status.message()), Not(HasSubstr("secret")));
    EXPECT_THAT(std::string(error.status.message()), Not(HasSubstr("SECRET")));
    EXPECT_THAT(std::string(error.status.message()), Not(HasSubstr("10.1")));
  }
}

TEST(CircuitBreaker, RefusesForAWhileAndThenLetsOneTry) {
  FakeClock clock;
  CircuitBreaker breaker(&clock, milliseconds(200));
  EXPECT_TRUE(breaker.closed());
  const auto first = breaker.Enter(true), second = breaker.Enter(true);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_FALSE(first->probe);
  breaker.Failed(*first, absl::UnavailableError("it is down"));
  const auto refused = breaker.Enter(true);
  EXPECT_TRUE(absl::IsUnavailable(refused.status()));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("it is down"));
  EXPECT_EQ(RetryAfterOf(refused.status()), milliseconds(200));
  EXPECT_FALSE(breaker.StillOpenTo(*second).ok()) << "who waits had better not";
  breaker.Left(*second);

  clock.Advance(milliseconds(199));
  EXPECT_FALSE(breaker.Enter(true).ok());
  clock.Advance(milliseconds(1));
  EXPECT_FALSE(breaker.Enter(false).ok());
  const auto probe = breaker.Enter(true);
  ASSERT_TRUE(probe.ok());
  EXPECT_TRUE(probe->probe);
  EXPECT_TRUE(breaker.StillOpenTo(*probe).ok());
  EXPECT_FALSE(breaker.Enter(true).ok()) << "one at a time";
  breaker.Failed(*probe, absl::UnavailableError("still"));
  EXPECT_FALSE(breaker.Enter(true).ok());

  clock.Advance(milliseconds(200));
  const auto left = breaker.Enter(true);
  ASSERT_TRUE(left.ok());
  breaker.Left(*left);
  const auto again = breaker.Enter(true);
  ASSERT_TRUE(again.ok()) << "the one that left proved nothing";
  breaker.Succeeded(*again);
  EXPECT_TRUE(breaker.closed());
  EXPECT_FALSE(breaker.Enter(true)->probe);
}

TEST(CircuitBreaker, OneThatWasUnderWayCanProveItToo) {
  FakeClock clock;
  CircuitBreaker breaker(&clock, milliseconds(200));
  const auto slow = breaker.Enter(true), failing = breaker.Enter(true);
  breaker.Failed(*failing, absl::UnavailableError("it is down"));
  breaker.Succeeded(*slow);
  EXPECT_TRUE(breaker.closed());
}

TEST(CircuitBreaker, AFailureFromBeforeASuccessIsOld) {
  FakeClock clock;
  CircuitBreaker breaker(&clock, milliseconds(200));
  const auto old = breaker.Enter(false);
  clock.Advance(milliseconds(1));
  const auto later = breaker.Enter(true);
  breaker.Succeeded(*later);
  breaker.Failed(*old, absl::UnavailableError("it was down"));
  EXPECT_TRUE(breaker.closed());
  breaker.Failed(*later, absl::UnavailableError("it is down"));
  EXPECT_FALSE(breaker.closed());
}

SocketAddress Port(uint16_t number) {
  SocketAddress address;
  address.length = number;
  return address;
}
TimePoint In(milliseconds time) { return std::chrono::steady_clock::now() + time; }

TEST(HostLookup, AnAddressIsNotLookedUp) {
  HostLookup v4("127.0.0.1", 6379), v6("::1", 6379);
  for (HostLookup* lookup : {&v4, &v6}) {
    const auto found = lookup->Get(In(milliseconds(-1)));
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->size(), 1U);
  }
}

TEST(HostLookup, ASlowOneIsNotWaitedForAndTheLastAnswerServes) {
  auto gate = std::make_shared<std::promise<void>>();
  const std::shared_future<void> opened = gate->get_future().share();
  auto rounds = std::make_shared<std::atomic<int>>(0);
  HostLookup lookup("name", 1, [=](const std::string&, int, bool numeric) {
    if (numeric) return std::vector<SocketAddress>();
    if (++*rounds > 1) opened.wait();
    return std::vector<SocketAddress>{Port(static_cast<uint16_t>(*rounds))};
  });
  const auto first = lookup.Get(In(std::chrono::minutes(1)));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->front().length, 1U);
  const auto stale = lookup.Get(In(milliseconds(5)));
  ASSERT_TRUE(stale.ok()) << stale.status();
  EXPECT_EQ(stale->front().length, 1U);
  gate->set_value();
  const auto fresh = lookup.Get(In(std::chrono::minutes(1)));
  ASSERT_TRUE(fresh.ok());
  EXPECT_GE(fresh->front().length, 2U);
}

TEST(HostLookup, WhereNothingIsKnownItSaysWhy) {
  auto gate = std::make_shared<std::promise<void>>();
  const std::shared_future<void> opened = gate->get_future().share();
  HostLookup slow("name", 1, [=](const std::string&, int, bool numeric) {
    if (!numeric) opened.wait();
    return std::vector<SocketAddress>();
  });
  const auto in_vain = slow.Get(In(milliseconds(5)));
  EXPECT_TRUE(absl::IsUnavailable(in_vain.status()));
  EXPECT_THAT(std::string(in_vain.status().message()), HasSubstr("in time"));
  gate->set_value();
  const auto unknown = slow.Get(In(std::chrono::minutes(1)));
  EXPECT_TRUE(absl::IsUnavailable(unknown.status()));
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr("not known"));
}

RedisReply Fields(const std::vector<std::pair<std::string, std::string>>& fields) {
  RedisReply reply;
  reply.type = RedisReply::Type::kArray;
  for (const auto& [name, value] : fields) {
    for (const std::string& text : {name, value}) {
      reply.elements.push_back({RedisReply::Type::kString, 0, text, {}});
    }
  }
  return reply;
}

TEST(RedisSession, WhatCannotBeIsDataLoss) {
  const std::string id(32, 'a');
  const std::vector<std::pair<std::string, std::string>> good = {
      {"owner", id},         {"fence", "3"},
      {"writer", id},        {"image", "i"},
      {"image_number", "4"}, {"last", "6"},
      {"bytes", "9"},        {"r5", "five"},
      {"r6", "six"},         {"s", EncodeRedisState(7, "x")}};
  const auto decoded = DecodeRedisSession(Fields(good));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->owner, id);
  EXPECT_EQ(decoded->session.fence, 3U);
  EXPECT_EQ(decoded->session.last_number(), 6U);
  ASSERT_EQ(decoded->session.states.size(), 1U);
  EXPECT_EQ(decoded->session.states[0].position, 7);

  // A summary is for lists alone, and older sessions have none.
  auto listed = good;
  listed.emplace_back("info", "summary");
  EXPECT_TRUE(DecodeRedisSession(Fields(listed)).ok());

  // Each field gone.
  for (size_t i = 0; i < good.size() - 1; ++i) {
    auto fields = good;
    fields.erase(fields.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_TRUE(absl::IsDataLoss(DecodeRedisSession(Fields(fields)).status())) << good[i].first;
  }
  // Each changed.
  const std::pair<std::string, std::string> bad[] = {
      {"owner", "me"},       {"owner", std::string(32, 'A')},
      {"writer", ""},        {"fence", "0"},
      {"fence", "-1"},       {"fence", "03"},
      {"fence", "3 "},       {"fence", "9007199254740992"},
      {"image_number", "7"}, {"image_number", "3"},
      {"last", "5"},         {"last", "x"},
      {"bytes", ""},         {"r7", "more"},
      {"r4", "less"},        {"r", "nothing"},
      {"rx", "letters"},     {"r05", "twice"},
      {"s", "short"},        {"s", std::string(8, '\xff')},
      {"unknown", "field"},  {"", ""}};
  for (const auto& [name, value] : bad) {
    auto fields = good;
    bool replaced = false;
    for (auto& field : fields) {
      if (field.first != name) continue;
      field.second = value;
      replaced = true;
    }
    if (!replaced) fields.emplace_back(name, value);
    EXPECT_TRUE(absl::IsDataLoss(DecodeRedisSession(Fields(fields)).status())) << name << value;
  }
  EXPECT_TRUE(DecodeRedisSession(Fields({{"deleted", "1"}}))->deleted);
}

TEST(RedisScripts, AreKnownByTheirDigestAndSayWhatTheyNeed) {
  const RedisScripts scripts;
  std::set<std::string> digests;
  for (const RedisScript* script :
       {&scripts.renew, &scripts.leave, &scripts.claim, &scripts.give_up, &scripts.erase,
        &scripts.put_image, &scripts.append, &scripts.put_state, &scripts.drop_state,
        &scripts.list}) {
    EXPECT_EQ(script->digest.size(), 40U);
    EXPECT_TRUE(digests.insert(script->digest).second);
    EXPECT_TRUE(script->text.starts_with("#!lua flags=no-cluster"));
  }
}

TEST(RedisOptions, EachIsChecked) {
  const auto opens = [](auto change) {
    RedisOptions options;
    options.url = "redis://127.0.0.1:1";
    change(options);
    const auto store = OpenRedisStore(options);
    EXPECT_TRUE(store.ok() || absl::IsInvalidArgument(store.status())) << store.status();
    return store.ok();
  };
  EXPECT_TRUE(opens([](RedisOptions&) {}));
  EXPECT_FALSE(opens([](RedisOptions& o) { o.url = "host"; }));
  EXPECT_FALSE(opens([](RedisOptions& o) { o.prefix = std::string(257, 'p'); }));
  EXPECT_FALSE(opens([](RedisOptions& o) { o.timeout = Duration(0); }));
  EXPECT_FALSE(opens([](RedisOptions& o) { o.timeout = std::chrono::hours(1); }));
  EXPECT_FALSE(opens([](RedisOptions& o) { o.retry_after = Duration(0); }));
  EXPECT_FALSE(opens([](RedisOptions& o) { o.connections = 0; }));
  EXPECT_FALSE(opens([](RedisOptions& o) { o.connections = 257; }));
  EXPECT_FALSE(opens([](RedisOptions& o) { o.tenant_bytes = -1; }));
  EXPECT_FALSE(opens([](RedisOptions& o) { o.reply_bytes_max = 1; }));
  EXPECT_FALSE(opens([](RedisOptions& o) { o.bytes_per_second_min = -1; }));
}

}  // namespace
}  // namespace ssmd
