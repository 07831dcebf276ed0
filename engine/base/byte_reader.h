// Reads numbers and strings from bytes that nobody vouches for: once something does not fit, every
// later read fails, so that a caller may read all it expects and ask once.
//
// The bytes must outlive it. Thread-compatible.
#ifndef SSMD_ENGINE_BASE_BYTE_READER_H_
#define SSMD_ENGINE_BASE_BYTE_READER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/little_endian.h"

namespace ssmd {

class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  // T: an unsigned integer. 0 where it failed.
  template <typename T>
  T Get() {
    const std::string_view bytes = Take(sizeof(T));
    return ok_ ? GetLittleEndian<T>(bytes.data()) : T{0};
  }
  // A length in 4 bytes, then so many bytes (PutBytes). Empty where it failed.
  std::string_view GetBytes() { return Take(Get<uint32_t>()); }

  // Everything fitted, and nothing is left.
  bool Finished() const { return ok_ && rest_.empty(); }

 private:
  std::string_view Take(size_t count) {
    if (!ok_ || count > rest_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view bytes = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return bytes;
  }

  std::string_view rest_;
  bool ok_ = true;
};

// What GetBytes reads. REQUIRES: fewer than 4 GiB.
inline void PutBytes(std::string* out, std::string_view bytes) {
  PutLittleEndian<uint32_t>(out, static_cast<uint32_t>(bytes.size()));
  out->append(bytes);
}

}  // namespace ssmd

#endif  // SSMD_ENGINE_BASE_BYTE_READER_H_
