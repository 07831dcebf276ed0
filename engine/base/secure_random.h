// Random bytes of the operating system's secure source: for session ids, which are capabilities,
// and for the seeds of requests that bring none. Thread-safe.
#ifndef SSMD_ENGINE_BASE_SECURE_RANDOM_H_
#define SSMD_ENGINE_BASE_SECURE_RANDOM_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ssmd {

uint64_t SecureRandom64();
// 128 random bits in lower-case hexadecimal.
std::string SecureRandomId();
// Whether it has the form of one.
inline bool IsRandomId(std::string_view text) {
  constexpr size_t kDigits = 32;
  return text.size() == kDigits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace ssmd

#endif  // SSMD_ENGINE_BASE_SECURE_RANDOM_H_
