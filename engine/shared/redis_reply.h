// What a Redis answers, read from bytes that nobody vouches for. hiredis's reader does the
// protocol (RESP2, at most 7 arrays deep); what it would make of a hostile reply is limited here:
// bytes, and elements of all arrays together, before memory is asked for.
//
// Thread-compatible.
#ifndef SSMD_ENGINE_SHARED_REDIS_REPLY_H_
#define SSMD_ENGINE_SHARED_REDIS_REPLY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

struct redisReader;

namespace ssmd {

struct RedisReply {
  enum class Type { kNil, kInteger, kString, kStatus, kError, kArray };
  Type type = Type::kNil;
  int64_t integer = 0;
  std::string text;                  // of a string, a status or an error
  std::vector<RedisReply> elements;  // of an array

  bool is_string() const { return type == Type::kString; }
  bool is_error() const { return type == Type::kError; }
  // An array of strings.
  bool is_strings() const;
};

class RedisReplyReader {
 public:
  static constexpr int64_t kElementsMax = 16384;  // of one reply

  RedisReplyReader();
  RedisReplyReader(const RedisReplyReader&) = delete;
  RedisReplyReader& operator=(const RedisReplyReader&) = delete;
  ~RedisReplyReader();

  // One reply is expected from now on, of at most so many bytes.
  void Expect(int64_t bytes_max);
  // The reply, once it is whole. UNAVAILABLE when it cannot be one, is larger than expected, or has
  // something after it; the connection is of no use then.
  absl::StatusOr<std::optional<RedisReply>> Feed(std::string_view bytes);

 private:
  struct Making;  // the reply that hiredis's reader builds

  std::unique_ptr<Making> making_;
  redisReader* reader_;
  int64_t bytes_left_ = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SHARED_REDIS_REPLY_H_
