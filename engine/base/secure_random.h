// Random bytes of the operating system's secure source: for session ids, which are capabilities,
// and for the seeds of requests that bring none. Thread-safe.
#ifndef SSMD_ENGINE_BASE_SECURE_RANDOM_H_
#define SSMD_ENGINE_BASE_SECURE_RANDOM_H_

#include <cstdint>
#include <string>

namespace ssmd {

uint64_t SecureRandom64();
// 128 random bits in lower-case hexadecimal.
std::string SecureRandomId();

}  // namespace ssmd

#endif  // SSMD_ENGINE_BASE_SECURE_RANDOM_H_
