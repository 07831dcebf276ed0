// SHA-256, by libcrypto: what tells one set of weights from another, so that a state is never fed
// to a model that did not make it.
#ifndef SSMD_ENGINE_MODELS_FINGERPRINT_H_
#define SSMD_ENGINE_MODELS_FINGERPRINT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace ssmd {

using Sha256 = std::array<uint8_t, 32>;

// Feeds bytes of any number of pieces into one digest. Move-only.
class Sha256Hasher {
 public:
  Sha256Hasher();
  Sha256Hasher(Sha256Hasher&&) noexcept;
  Sha256Hasher& operator=(Sha256Hasher&&) noexcept;
  ~Sha256Hasher();

  void Add(const void* data, size_t bytes);
  // A piece whose end is part of the digest: "ab" + "c" differs from "a" + "bc".
  void AddField(std::string_view field);
  Sha256 Finish();  // at most once, and last

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string HexOf(const Sha256& digest);  // 64 lower-case digits

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_FINGERPRINT_H_
