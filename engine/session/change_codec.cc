#include "engine/session/change_codec.h"

#include <algorithm>

#include "engine/base/little_endian.h"

namespace ssmd {
namespace {

constexpr std::string_view kZeros("\0\0\0\0\0\0\0\0", 8);

}  // namespace

void ChangeWriter::Number(uint64_t value) { PutLittleEndian(&out_, value); }

void ChangeWriter::Text(const std::string& text) {
  Number(static_cast<uint64_t>(text.size()));
  out_ += text;
}

void ChangeWriter::Ids(const std::vector<int32_t>& ids) {
  Number(static_cast<uint64_t>(ids.size()));
  for (const int32_t id : ids) PutLittleEndian(&out_, static_cast<uint32_t>(id));
}

void ChangeWriter::Tokens(const TokenLog& tokens) {
  Number(static_cast<uint64_t>(tokens.size()));
  for (const LoggedToken token : tokens) {
    const uint32_t sampled = token.sampled() ? uint32_t{1} << 31 : 0;
    PutLittleEndian(&out_, static_cast<uint32_t>(token.token_id()) | sampled);
  }
}

void ChangeWriter::State(const StateRef& state) {
  const std::string stored_id = state == nullptr ? std::string() : state->stored_id();
  Flag(!stored_id.empty());
  if (stored_id.empty()) return;
  Text(stored_id);
  Size(state->position);
  Number(static_cast<uint64_t>(state->bytes));
}

void ChangeReader::Fail() {
  ok_ = false;
  rest_ = {};
}

std::string_view ChangeReader::Bytes(size_t size) {
  if (rest_.size() < size) {
    Fail();
    return kZeros.substr(0, size);
  }
  const std::string_view bytes = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return bytes;
}

uint8_t ChangeReader::Byte(uint8_t max) {
  const auto value = static_cast<uint8_t>(Bytes(1)[0]);
  if (value <= max) return value;
  Fail();
  return 0;
}

uint64_t ChangeReader::Count(size_t element_bytes) {
  uint64_t count = 0;
  Number(count);
  if (count <= rest_.size() / element_bytes) return count;
  Fail();
  return 0;
}

void ChangeReader::Number(uint64_t& value) { value = GetLittleEndian<uint64_t>(Bytes(8).data()); }

void ChangeReader::Size(int64_t& value) {
  value = static_cast<int64_t>(GetLittleEndian<uint64_t>(Bytes(8).data()));
  if (value >= 0) return;
  value = 0;
  Fail();
}

void ChangeReader::Flag(bool& value) { value = Byte(1) != 0; }

void ChangeReader::Text(std::string& text) { text = std::string(Bytes(Count(1))); }

void ChangeReader::Ids(std::vector<int32_t>& ids) {
  const uint64_t count = Count(sizeof(uint32_t));
  ids.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    ids.push_back(static_cast<int32_t>(GetLittleEndian<uint32_t>(Bytes(4).data())));
  }
}

void ChangeReader::Tokens(TokenLog& tokens) {
  const uint64_t count = Count(sizeof(uint32_t));
  tokens.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    const auto bits = GetLittleEndian<uint32_t>(Bytes(4).data());
    tokens.emplace_back(static_cast<int32_t>(bits & 0x7FFFFFFF), (bits >> 31) != 0);
  }
}

void ChangeReader::State(StateRef& state) {
  bool stored = false;
  Flag(stored);
  if (!stored) return;
  std::string id;
  int64_t position = 0;
  uint64_t bytes = 0;
  Text(id);
  Size(position);
  Number(bytes);
  if (id.empty() || position == 0 || bytes > kStateBytesMax) Fail();
  if (ok_) state = resolve_(id, position, bytes);
}

}  // namespace ssmd
