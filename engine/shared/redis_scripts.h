// What Redis does for us in one step each: scripts in Lua, which Redis keeps by their digest.
//
// A script reads and checks everything before its first write, and answers with an array of
// strings, whose first says what came of it:
//   ok       done
//   lost     the caller does not own the session under that fence
//   none     there is no such session, or an older one
//   gap      the number does not follow, or there are too many changes after the image
//   full     the tenant's bytes
//   large    the session would be larger than one may be
//   many     too many states
//   unstaged the state that should lie apart does not, or has another length
//   damaged  what is there is no session
//   owned, elsewhere   of a claim: and the fence; and the owner, its address, whether it is present
// Of a list there follow where it stopped looking (empty: at the end), and ids and summaries.
// A full Redis refuses a script before it begins (deny-oom, the default of a script with flags),
// except those that have to work then; no script stops midway for want of memory.
#ifndef SSMD_ENGINE_SHARED_REDIS_SCRIPTS_H_
#define SSMD_ENGINE_SHARED_REDIS_SCRIPTS_H_

#include <string>
#include <string_view>

namespace ssmd {

struct RedisScript {
  RedisScript(std::string_view flags, std::string_view part);

  std::string text;
  std::string digest;  // SHA-1 of the text, in hexadecimal digits
};

// KEYS where no others are named: the session, its tenant's bytes by session, its tenant's sessions
// by when they end, and by id, what the keys of its states begin with, and the presence of the
// replica that calls. ARGV beside what is named: redis_scripts.cc; of all but `list` and `renew`
// the last is the incarnation of the process that calls.
struct RedisScripts {
  RedisScripts();

  RedisScript renew;       // KEYS: the presence. ARGV: incarnation, address, ttl
  RedisScript leave;       // KEYS: the presence, the wishes
  RedisScript claim;       // ARGV: self, whether it may take over, key prefix, how it is asked for
  RedisScript give_up;     // ARGV: self, fence
  RedisScript erase;       // ARGV: id, fence, how long it is remembered, self
  RedisScript put_image;   // ARGV: a write's, number, image, summary
  RedisScript append;      // ARGV: a write's, number, change, summary
  RedisScript put_state;   // ARGV: a write's, name, value, ""; or its length, token
  RedisScript drop_state;  // ARGV: a write's, name
  RedisScript list;        // KEYS: the tenant's sessions by id. ARGV: after, most, prefix of keys
};

// In the place of a fence that is greater than any.
inline constexpr std::string_view kRedisAnyFence = "any";

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_REDIS_SCRIPTS_H_
