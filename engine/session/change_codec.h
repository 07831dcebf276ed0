// The bytes of a record of changes, field by field: numbers are little-endian and of one width,
// what varies in length has its length before it. Every value has one encoding only.
//
// ChangeWriter and ChangeReader have the same calls, so that one description of a struct serves
// both (session_change.cc). The reader trusts nothing: past the first field that cannot be, it
// gives zeros and is not ok(); what it allocates is bounded by the bytes that are there.
//
// Not thread-safe.
#ifndef SSMD_ENGINE_SESSION_CHANGE_CODEC_H_
#define SSMD_ENGINE_SESSION_CHANGE_CODEC_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "engine/session/session_change.h"
#include "engine/state/held_state.h"
#include "engine/state/token_log.h"

namespace ssmd {

// Of a state: far above any, so that sums of them do not overflow.
inline constexpr uint64_t kStateBytesMax = uint64_t{1} << 40;

class ChangeWriter {
 public:
  template <typename T>
  using Ref = const T&;

  void Number(uint64_t value);
  void Size(int64_t value) { Number(static_cast<uint64_t>(value)); }
  void Flag(bool value) { Byte(value ? 1 : 0); }
  template <typename Enum>
  void Choice(Enum value, Enum /*last*/) {
    Byte(static_cast<uint8_t>(value));
  }
  void Text(const std::string& text);
  void Ids(const std::vector<int32_t>& ids);
  void Tokens(const TokenLog& tokens);
  void State(const StateRef& state);
  template <typename T, typename F>
  void List(const std::vector<T>& list, F element) {
    Number(static_cast<uint64_t>(list.size()));
    for (const T& value : list) element(value);
  }
  template <typename T, typename F>
  void Maybe(const std::optional<T>& maybe, F value) {
    Flag(maybe.has_value());
    if (maybe.has_value()) value(*maybe);
  }

  std::string Take() { return std::move(out_); }

 private:
  void Byte(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  std::string out_;
};

class ChangeReader {
 public:
  template <typename T>
  using Ref = T&;

  ChangeReader(std::string_view bytes, const ResolveState& resolve)
      : rest_(bytes), resolve_(resolve) {}

  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }

  void Number(uint64_t& value);
  void Size(int64_t& value);  // >= 0
  void Flag(bool& value);
  template <typename Enum>
  void Choice(Enum& value, Enum last) {
    value = static_cast<Enum>(Byte(static_cast<uint8_t>(last)));
  }
  void Text(std::string& text);
  void Ids(std::vector<int32_t>& ids);
  void Tokens(TokenLog& tokens);
  void State(StateRef& state);
  template <typename T, typename F>
  void List(std::vector<T>& list, F element) {
    // An element takes at least a byte, so the loop ends soon after the bytes do.
    for (uint64_t count = Count(1); count > 0 && ok_; --count) element(list.emplace_back());
  }
  template <typename T, typename F>
  void Maybe(std::optional<T>& maybe, F value) {
    bool has_value = false;
    Flag(has_value);
    if (has_value) value(maybe.emplace());
  }

 private:
  uint8_t Byte(uint8_t max);
  // How many elements of so many bytes follow; no more than there are bytes for.
  uint64_t Count(size_t element_bytes);
  // The next `size` bytes; all zeros when there are not so many. REQUIRES: size <= 8, or so many.
  std::string_view Bytes(size_t size);
  void Fail();

  std::string_view rest_;
  const ResolveState& resolve_;
  bool ok_ = true;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SESSION_CHANGE_CODEC_H_
