// Any bytes from a server, in pieces of a size that the first one says: the reader refuses them or
// makes the same reply of them as of the whole. A reply that could be a session is one or is
// refused, whose numbers then fit together.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "engine/shared/redis_errors.h"
#include "engine/shared/redis_reply.h"
#include "engine/shared/redis_session.h"

namespace {

using ssmd::RedisReply;

constexpr int64_t kBytesMax = 1 << 20;

void Check(bool holds) {
  if (!holds) std::abort();
}

// The reply, where there is one before an error and the end.
std::optional<RedisReply> Read(std::string_view bytes, size_t piece) {
  ssmd::RedisReplyReader reader;
  reader.Expect(kBytesMax);
  while (!bytes.empty()) {
    auto reply = reader.Feed(bytes.substr(0, piece));
    if (!reply.ok()) return std::nullopt;
    if (reply->has_value()) return *std::move(reply);
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  return std::nullopt;
}

bool Equal(const RedisReply& a, const RedisReply& b) {
  return a.type == b.type && a.integer == b.integer && a.text == b.text &&
         std::equal(a.elements.begin(), a.elements.end(), b.elements.begin(), b.elements.end(),
                    Equal);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto whole = Read(bytes, bytes.size());
  const auto pieces = Read(bytes, size_t{data[0]} + 1);
  // In pieces, what follows a reply may not have come yet.
  if (whole.has_value()) Check(pieces.has_value() && Equal(*whole, *pieces));
  if (!pieces.has_value()) return 0;
  if (pieces->is_error()) Check(!ssmd::UnderstandRedisError(pieces->text).status.ok());
  if (!pieces->is_strings() || pieces->elements.empty() || pieces->elements.size() % 2 != 0)
    return 0;
  const auto session = ssmd::DecodeRedisSession(*pieces);
  if (!session.ok() || session->deleted) return 0;
  Check(session->session.fence > 0);
  Check(session->session.last_number() >= session->session.image_number);
  return 0;
}
