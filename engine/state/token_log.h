// A history, token by token, each marked as sampled by the model or fed by the caller: 4 bytes a
// token. It is what penalties look back at, what a turn is replayed from, and what a snapshot
// carries.
#ifndef SSMD_ENGINE_STATE_TOKEN_LOG_H_
#define SSMD_ENGINE_STATE_TOKEN_LOG_H_

#include <cstdint>
#include <vector>

namespace ssmd {

class LoggedToken {
 public:
  LoggedToken(int32_t token_id, bool sampled)
      : bits_(static_cast<uint32_t>(token_id) | (sampled ? kSampled : 0)) {}
  int32_t token_id() const { return static_cast<int32_t>(bits_ & ~kSampled); }
  bool sampled() const { return (bits_ & kSampled) != 0; }

 private:
  static constexpr uint32_t kSampled = uint32_t{1} << 31;
  uint32_t bits_;
};

using TokenLog = std::vector<LoggedToken>;

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_TOKEN_LOG_H_
