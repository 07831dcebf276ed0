// The Redis store against a server that answers nonsense: every call ends, with an error that a
// person can act on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/shared/redis_store.h"
#include "tests/unit/shared/garbage_server.h"
#include "tests/unit/shared/shared_fixture.h"

namespace ssmd {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using Calls = std::map<std::string, absl::Status>;

// Of each kind one, on a store with that server.
Calls CallAll(const std::string& url, Duration timeout) {
  RedisOptions options;
  options.url = url;
  options.timeout = timeout;
  options.retry_after = std::chrono::milliseconds(1);
  options.reply_bytes_max = 1 << 20;
  const auto store = *OpenRedisStore(options);
  const SessionKey key = {"tenant", "id"};
  const SharedStore::Write write = {key, ReplicaNo(1), 1, std::chrono::hours(1)};
  Calls calls;
  // Each gets an answer of its own, whatever became of the one before.
  const auto call = [&](const char* name, const auto& make) {
    do {
      calls[name] = make();
    } while (absl::StrContains(calls[name].message(), "not tried again yet"));
  };
  call("Renew", [&] { return store->Renew(ReplicaNo(1), std::chrono::hours(1)).status(); });
  call("Leave", [&] { return store->Leave(ReplicaNo(1)); });
  call("Wanted", [&] { return store->Wanted(ReplicaNo(1), Duration(0)).status(); });
  call("WantedPatiently",
       [&] { return store->Wanted(ReplicaNo(1), std::chrono::milliseconds(1)).status(); });
  call("TryClaim", [&] { return store->TryClaim(ReplicaNo(1), key, true).status(); });
  call("GiveUp", [&] { return store->GiveUp(ReplicaNo(1), key, 1); });
  call("PutImage", [&] { return store->PutImage(write, 0, "image"); });
  call("Append", [&] { return store->Append(write, 1, "change"); });
  call("PutState", [&] { return store->PutState(write, {"", 1, "state"}); });
  call("DropState", [&] { return store->DropState(write, ""); });
  call("Delete", [&] { return store->Delete(ReplicaNo(1), key, 1); });
  call("List", [&] { return store->List("tenant", "a", 2).status(); });
  return calls;
}

void ExpectUnavailable(const std::string& name, const absl::Status& status) {
  EXPECT_TRUE(absl::IsUnavailable(status)) << name << ": " << status;
  EXPECT_THAT(std::string(status.message()), StartsWith("the shared store (Redis) ")) << name;
  for (const char* told : {"secret", "10.1.2.3", "127.0.0.1"}) {
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr(told))) << name;
  }
}

struct Nonsense {
  std::string reply;
  std::map<std::string, absl::StatusCode> but = {};  // calls for which it is none
};

constexpr absl::StatusCode kOk = absl::StatusCode::kOk;

std::map<std::string, absl::StatusCode> EveryCall(absl::StatusCode code) {
  std::map<std::string, absl::StatusCode> all;
  for (const char* name : {"Renew", "Leave", "Wanted", "WantedPatiently", "TryClaim", "GiveUp",
                           "PutImage", "Append", "PutState", "DropState", "Delete", "List"}) {
    all[name] = code;
  }
  return all;
}

// What a verdict is enough of, whatever follows it.
std::map<std::string, absl::StatusCode> EveryWrite(absl::StatusCode code) {
  std::map<std::string, absl::StatusCode> all;
  for (const char* name :
       {"Renew", "Leave", "GiveUp", "PutImage", "Append", "PutState", "DropState", "Delete"}) {
    all[name] = code;
  }
  return all;
}

// "ok", and these.
std::string ListOf(const std::vector<std::string>& rest) {
  std::string reply = absl::StrCat("*", rest.size() + 1, "\r\n$2\r\nok\r\n");
  for (const std::string& text : rest)
    absl::StrAppend(&reply, "$", text.size(), "\r\n", text, "\r\n");
  return reply;
}

std::vector<Nonsense> Table() {
  const std::string zeros(64, '\0');
  return {
      {"+OK\r\n"},
      {":1\r\n"},
      {":x\r\n"},
      {"$-1\r\n", {{"Wanted", kOk}, {"WantedPatiently", kOk}}},
      {"$2\r\nok\r\n"},
      {"$-2\r\n"},
      {"$99999999999999999999\r\n"},
      {"*0\r\n", {{"Wanted", kOk}}},
      {"*1\r\n:1\r\n"},
      {"*1\r\n*1\r\n$2\r\nok\r\n"},
      {"*1\r\n$0\r\n\r\n"},
      {"*1\r\n$4\r\nwhat\r\n"},
      {"*1\r\n$5\r\nowned\r\n"},
      {"*2\r\n$9\r\nelsewhere\r\n$6\r\nsecret\r\n"},
      // Lists that are none: in pieces, too long, backwards, of what was not asked for.
      {"*3\r\n$2\r\nok\r\n$0\r\n\r\n$1\r\nb\r\n", EveryWrite(kOk)},
      {ListOf({"", "b", "", "c", "", "d", ""}), EveryWrite(kOk)},
      {ListOf({"", "c", "", "b", ""}), EveryWrite(kOk)},
      {ListOf({"", "b", "", "b", ""}), EveryWrite(kOk)},
      {ListOf({"", "a", ""}), EveryWrite(kOk)},
      {ListOf({"b", "b", "", "c", ""}), EveryWrite(kOk)},
      // A claim, and then a session that is none.
      {"*2\r\n$5\r\nowned\r\n$1\r\n1\r\n", {{"TryClaim", absl::StatusCode::kDataLoss}}},
      {"*2147483647\r\n"},
      {"*20000\r\n"},
      {"*-2\r\n"},
      {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"},
      {"*1\r\n$2\r\nok\r\n+OK\r\n"},  // one more than was asked for
      {"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"},
      {"SSH-2.0-OpenSSH_9.2p1\r\n"},
      {zeros},
      {"\r\n\r\n"},
      {"-\r\n"},
      {"-ERR secret 10.1.2.3\r\n"},
      {"-LOADING Redis is loading the dataset in memory\r\n"},
      {"-NOAUTH Authentication required.\r\n"},
      {"-READONLY You can't write against a read only replica.\r\n"},
      {"-BUSY Redis is busy running a script.\r\n"},
      {"-MOVED 3999 10.1.2.3:6381\r\n"},
      {"-ASK 3999 10.1.2.3:6381\r\n"},
      {"-NOSCRIPT No matching script.\r\n"},
      {"-WRONGTYPE Operation against a key\r\n"},
      {"-MISCONF Errors writing to the AOF file: secret\r\n"},
      {"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
       EveryCall(absl::StatusCode::kResourceExhausted)},
  };
}

TEST(RedisGarbage, IsAnErrorOfEveryCall) {
  for (const Nonsense& nonsense : Table()) {
    SCOPED_TRACE(nonsense.reply);
    const test::GarbageServer server({.reply = nonsense.reply});
    for (const auto& [name, status] : CallAll(server.Url(), std::chrono::seconds(20))) {
      const auto but = nonsense.but.find(name);
      if (but == nonsense.but.end()) {
        ExpectUnavailable(name, status);
      } else {
        EXPECT_EQ(status.code(), but->second) << name << ": " << status;
      }
    }
  }
}

// Manners rather than replies. What is awaited never comes, so that each call takes its time.
TEST(RedisManners, EveryCallEnds) {
  const test::GarbageServer::Manner manners[] = {
      {.reply = "", .closes = true},
      {.reply = ""},
      {.reply = "*1\r\n$2\r\n"},
      {.reply = "*1\r\n$2\r\no", .closes = true},
      {.reply = "$1000000000\r\n", .then = std::string(65536, 'x')},
      {.reply = "+", .then = "x"},
      {.reply = "*10000\r\n", .then = ":1\r\n"},
      {.then = "+OK\r\n"},
  };
  for (const auto& manner : manners) {
    const test::GarbageServer server(manner);
    for (const auto& [name, status] : CallAll(server.Url(), std::chrono::milliseconds(10))) {
      ExpectUnavailable(name + " after " + manner.reply, status);
    }
  }
}

TEST(RedisManners, NobodyListens) {
  std::string url;
  {
    const test::GarbageServer gone({.reply = ""});
    url = gone.Url();
  }
  for (const auto& [name, status] : CallAll(url, std::chrono::seconds(20))) {
    ExpectUnavailable(name, status);
    EXPECT_THAT(std::string(status.message()), HasSubstr("refused"));
  }
  const std::string unknown = "redis://no-such-host.invalid";
  const auto calls = CallAll(unknown, std::chrono::milliseconds(10));
  EXPECT_TRUE(absl::IsUnavailable(calls.at("Append"))) << calls.at("Append");
}

TEST(RedisManners, ARightAnswerMayComeInPieces) {
  const test::GarbageServer server({.reply = "*1\r\n$2\r\nok\r\n", .byte_by_byte = true});
  const Calls calls = CallAll(server.Url("localhost"), std::chrono::seconds(20));
  for (const char* name : {"Renew", "GiveUp", "PutImage", "Append", "PutState", "Delete"}) {
    EXPECT_TRUE(calls.at(name).ok()) << name << ": " << calls.at(name);
  }
}

}  // namespace
}  // namespace ssmd
