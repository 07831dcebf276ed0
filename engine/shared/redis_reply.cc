#include "engine/shared/redis_reply.h"

#include <hiredis/read.h>

#include <algorithm>
#include <new>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/fault_point.h"
#include "engine/shared/redis_errors.h"

namespace ssmd {
namespace {

FaultPoint reply_memory("memory.redis_reply", FaultPoint::Kind::kAllocation);

// Whether `call` has found the memory that it asks for. What is thrown must not pass through
// hiredis, which is C.
template <typename Call>
bool FindsMemory(Call call) {
  try {
    if (reply_memory.Hit()) return false;
    call();
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace

struct RedisReplyReader::Making {
  RedisReply root;
  int64_t elements_left = kElementsMax;

  // The place of the element that hiredis has read. An array has its elements before they come, so
  // a place does not move.
  static RedisReply* Place(const redisReadTask* task) {
    if (task->parent != nullptr) {
      return &static_cast<RedisReply*>(task->parent->obj)->elements[task->idx];
    }
    return &static_cast<Making*>(task->privdata)->root;
  }

  static void* MakeText(const redisReadTask* task, char* bytes, size_t length) {
    RedisReply* reply = Place(task);
    reply->type = task->type == REDIS_REPLY_ERROR    ? RedisReply::Type::kError
                  : task->type == REDIS_REPLY_STATUS ? RedisReply::Type::kStatus
                                                     : RedisReply::Type::kString;
    return FindsMemory([&] { reply->text.assign(bytes, length); }) ? reply : nullptr;
  }

  // Null, which hiredis takes for want of memory, where there are too many elements, too.
  static void* MakeArray(const redisReadTask* task, int count) {
    auto* making = static_cast<Making*>(task->privdata);
    making->elements_left -= count;
    if (making->elements_left < 0) return nullptr;
    RedisReply* reply = Place(task);
    reply->type = RedisReply::Type::kArray;
    return FindsMemory([&] { reply->elements.resize(count); }) ? reply : nullptr;
  }

  static void* MakeInteger(const redisReadTask* task, long long value) {
    RedisReply* reply = Place(task);
    reply->type = RedisReply::Type::kInteger;
    reply->integer = value;
    return reply;
  }

  static void* MakeNil(const redisReadTask* task) { return Place(task); }

  static void Free(void* /*reply*/) {}  // everything is part of `root`
};

bool RedisReply::is_strings() const {
  return type == Type::kArray && std::all_of(elements.begin(), elements.end(),
                                             [](const RedisReply& e) { return e.is_string(); });
}

RedisReplyReader::RedisReplyReader() : making_(std::make_unique<Making>()) {
  static redisReplyObjectFunctions functions = {Making::MakeText, Making::MakeArray,
                                                Making::MakeInteger, Making::MakeNil, Making::Free};
  reader_ = redisReaderCreateWithFunctions(&functions);
  Check(reader_ != nullptr, "RedisReplyReader: out of memory");
  reader_->privdata = making_.get();
}

RedisReplyReader::~RedisReplyReader() { redisReaderFree(reader_); }

void RedisReplyReader::Expect(int64_t bytes_max) {
  *making_ = Making();
  bytes_left_ = bytes_max;
}

absl::StatusOr<std::optional<RedisReply>> RedisReplyReader::Feed(std::string_view bytes) {
  bytes_left_ -= static_cast<int64_t>(bytes.size());
  if (bytes_left_ < 0) return RedisUnavailable("answers more than it may (reply_bytes_max)");
  void* done = nullptr;
  if (redisReaderFeed(reader_, bytes.data(), bytes.size()) != REDIS_OK ||
      redisReaderGetReply(reader_, &done) != REDIS_OK) {
    if (reader_->err == REDIS_ERR_OOM && making_->elements_left >= 0) {
      return RedisUnavailable("answers, and there is no memory to read it into");
    }
    return RedisUnavailable(making_->elements_left < 0
                                ? "answers with more elements than there can be"
                                : "answers what is not Redis's protocol: is it a Redis?");
  }
  if (done == nullptr) return std::optional<RedisReply>();
  if (reader_->pos != reader_->len) return RedisUnavailable("answers more than it was asked");
  return std::optional<RedisReply>(std::move(making_->root));
}

}  // namespace ssmd
