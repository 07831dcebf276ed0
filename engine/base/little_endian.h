// Numbers in files: little-endian, whatever the machine. The payloads that are copied as they are
// (states, token ids) are little-endian because every machine that we run on is; a port to another
// has to convert them, and stops here first.
#ifndef SSMD_ENGINE_BASE_LITTLE_ENDIAN_H_
#define SSMD_ENGINE_BASE_LITTLE_ENDIAN_H_

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

namespace ssmd {

static_assert(std::endian::native == std::endian::little);

// T: an unsigned integer.
template <typename T>
void PutLittleEndian(std::string* out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out->append(bytes, sizeof(T));
}

// REQUIRES: sizeof(T) bytes at `bytes`.
template <typename T>
T GetLittleEndian(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

}  // namespace ssmd

#endif  // SSMD_ENGINE_BASE_LITTLE_ENDIAN_H_
