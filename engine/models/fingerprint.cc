#include "engine/models/fingerprint.h"

#include <openssl/evp.h>

#include <cstdlib>

#include "absl/strings/escaping.h"

namespace ssmd {
namespace {

// libcrypto's digests fail only when memory for a context of some hundred bytes is refused, which
// nothing here could answer.
void MustSucceed(int result) {
  if (result != 1) std::abort();
}

}  // namespace

struct Sha256Hasher::Context {
  Context() : digest(EVP_MD_CTX_new()) {
    MustSucceed(digest != nullptr ? 1 : 0);
    MustSucceed(EVP_DigestInit_ex(digest, EVP_sha256(), nullptr));
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { EVP_MD_CTX_free(digest); }

  EVP_MD_CTX* digest;
};

Sha256Hasher::Sha256Hasher() : context_(std::make_unique<Context>()) {}
Sha256Hasher::Sha256Hasher(Sha256Hasher&&) noexcept = default;
Sha256Hasher& Sha256Hasher::operator=(Sha256Hasher&&) noexcept = default;
Sha256Hasher::~Sha256Hasher() = default;

void Sha256Hasher::Add(const void* data, size_t bytes) {
  MustSucceed(EVP_DigestUpdate(context_->digest, data, bytes));
}

void Sha256Hasher::AddField(std::string_view field) {
  std::array<uint8_t, 8> length = {};
  for (size_t i = 0; i < length.size(); ++i) {
    length[i] = static_cast<uint8_t>(static_cast<uint64_t>(field.size()) >> (8 * i));
  }
  Add(length.data(), length.size());
  Add(field.data(), field.size());
}

Sha256 Sha256Hasher::Finish() {
  Sha256 digest = {};
  MustSucceed(EVP_DigestFinal_ex(context_->digest, digest.data(), nullptr));
  return digest;
}

std::string HexOf(const Sha256& digest) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

}  // namespace ssmd
