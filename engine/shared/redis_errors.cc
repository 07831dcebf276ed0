#include "engine/shared/redis_errors.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/base/text_view.h"

namespace ssmd {
namespace {

struct KnownError {
  std::string_view begins;  // its text with this
  std::string_view meaning;
  bool of_server;
};

// The first that fits counts.
constexpr KnownError kKnown[] = {
    {"LOADING", "is starting and loads its data", true},
    {"BUSY", "is busy with a script of somebody else's", true},
    {"MASTERDOWN", "is a replica that has lost its primary: name the primary", true},
    {"READONLY", "is a replica, which cannot be written: name the primary", true},
    {"NOREPLICAS", "has fewer replicas than it wants for writing (min-replicas-to-write)", true},
    {"MISCONF", "cannot save its data and so refuses to be written: look at its log and disk",
     true},
    {"MOVED", "is a Redis Cluster, which is not supported: name a single Redis", true},
    {"ASK", "is a Redis Cluster, which is not supported: name a single Redis", true},
    {"CLUSTERDOWN", "is a Redis Cluster, which is not supported: name a single Redis", true},
    {"CROSSSLOT", "is a Redis Cluster, which is not supported: name a single Redis", true},
    {"ERR Can not run script on cluster",
     "is a Redis Cluster, which is not supported: name a single Redis", true},
    {"NOAUTH", "asks for a password: name it in the URL", true},
    {"WRONGPASS", "refuses the user or the password in the URL", true},
    {"ERR AUTH", "has no password, but the URL names one", true},
    {"ERR invalid password", "refuses the user or the password in the URL", true},
    {"DENIED", "is in protected mode and serves its own machine only: give it a password", true},
    {"NOPERM", "lets this user not run what is needed: engine/shared/README.md has the list", true},
    {"ERR The user executing the script",
     "lets this user not run what is needed: engine/shared/README.md has the list", true},
    {"ERR DB index is out of range", "has no database of the number in the URL", true},
    {"ERR max number of clients reached",
     "has more connections than it wants: raise its maxclients", true},
    {"ERR Error compiling script", "is too old: Redis 7.0 or newer is needed", true},
    {"ERR unknown command", "lacks a command that is needed: Redis 7.0 or newer has them", true},
    {"WRONGTYPE",
     "has something else under one of our keys: give ssmd a prefix or a database of its own",
     false},
};

// Some errors begin with another '-' where a script says them.
std::string_view WithoutDash(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return text;
}

// The error's kind, which is a word in upper case; empty where it has none.
std::string_view KindOf(std::string_view text) {
  const std::string_view kind = text.substr(0, text.find(' '));
  const bool fits = kind.size() <= 16 && std::all_of(kind.begin(), kind.end(),
                                                     [](char c) { return c >= 'A' && c <= 'Z'; });
  return fits ? kind : std::string_view();
}

}  // namespace

absl::Status RedisUnavailable(std::string_view what) {
  return absl::UnavailableError(absl::StrCat("the shared store (Redis) ", View(what)));
}

RedisError UnderstandRedisError(std::string_view text) {
  text = WithoutDash(text);
  if (text.starts_with("OOM")) {
    return {
        absl::ResourceExhaustedError(
            "the shared store (Redis) is full: raise its maxmemory, or let sessions end sooner"),
        false};
  }
  for (const KnownError& known : kKnown) {
    if (text.starts_with(known.begins)) return {RedisUnavailable(known.meaning), known.of_server};
  }
  return {RedisUnavailable(absl::StrCat("refuses a command (", View(KindOf(text)),
                                        "): redis-cli's MONITOR shows which")),
          false};
}

}  // namespace ssmd
