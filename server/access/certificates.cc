// See certificates.h.
#include "server/access/certificates.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <chrono>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/access/pem_file.h"

namespace ssmd::server {
namespace {

struct Freed {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using Bio = std::unique_ptr<BIO, Freed>;

// A key that is locked by a password is refused: nobody is there to type it.
int NoPassword(char* /*out*/, int /*size*/, int /*writing*/, void* /*data*/) { return 0; }

Bio Over(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// The first of a chain; null unless every block of it parses.
std::unique_ptr<X509, Freed> FirstOfChain(const std::string& pem) {
  const Bio bio = Over(pem);
  const auto next = [&bio] {
    return std::unique_ptr<X509, Freed>(
        PEM_read_bio_X509(bio.get(), nullptr, &NoPassword, nullptr));
  };
  auto first = next();
  if (first == nullptr) return nullptr;
  while (next() != nullptr) {
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end) return nullptr;
  return first;
}

absl::Status Invalid(const char* flag, const std::string& path, const char* what) {
  ERR_clear_error();  // of this thread, for whoever looks at it next
  return absl::InvalidArgumentError(absl::StrCat(flag, " ", path, ": ", what));
}

// That TLS could be spoken with it: otherwise callers would be the first to notice.
absl::Status Check(const TlsFiles& files, const TlsMaterial& material) {
  const auto certificate = FirstOfChain(material.certificate);
  if (certificate == nullptr) {
    return Invalid("--tls-cert", files.certificate, "is no certificate in PEM");
  }
  const std::unique_ptr<EVP_PKEY, Freed> key(
      PEM_read_bio_PrivateKey(Over(material.key).get(), nullptr, &NoPassword, nullptr));
  if (key == nullptr) {
    return Invalid("--tls-key", files.key, "is no private key in PEM without a password");
  }
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return Invalid("--tls-key", files.key, "is not the key of --tls-cert");
  }
  const std::unique_ptr<SSL_CTX, Freed> context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr || SSL_CTX_use_certificate(context.get(), certificate.get()) != 1) {
    return Invalid("--tls-cert", files.certificate, "is too weak for TLS");
  }
  if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0) {
    return Invalid("--tls-cert", files.certificate, "has expired");
  }
  if (!files.client_ca.empty() && FirstOfChain(material.client_ca) == nullptr) {
    return Invalid("--tls-client-ca", files.client_ca, "is no certificate in PEM");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Certificates>> Certificates::Open(const TlsFiles& files) {
  std::unique_ptr<Certificates> certificates(new Certificates(files));
  if (!files.enabled()) return certificates;
  MutexLock lock(&certificates->mutex_);
  certificates->stamps_ = certificates->ReadStamps();
  SSMD_ASSIGN_OR_RETURN(TlsMaterial material, certificates->Read());
  certificates->current_ = std::make_shared<const TlsMaterial>(std::move(material));
  return certificates;
}

std::shared_ptr<const TlsMaterial> Certificates::Current() const {
  MutexLock lock(&mutex_);
  return current_;
}

absl::Status Certificates::Poll(bool* reloaded) {
  *reloaded = false;
  if (!files_.enabled()) return absl::OkStatus();
  const Stamps stamps = ReadStamps();
  {
    MutexLock lock(&mutex_);
    if (stamps == stamps_) return absl::OkStatus();
    stamps_ = stamps;  // also when they turn out to be broken: it is reported once
  }
  SSMD_ASSIGN_OR_RETURN(TlsMaterial material, Read());
  MutexLock lock(&mutex_);
  current_ = std::make_shared<const TlsMaterial>(std::move(material));
  *reloaded = true;
  return absl::OkStatus();
}

Certificates::Stamps Certificates::ReadStamps() const {
  Stamps stamps = {StampOf(files_.certificate), StampOf(files_.key), {}};
  if (!files_.client_ca.empty()) stamps[2] = StampOf(files_.client_ca);
  return stamps;
}

absl::StatusOr<TlsMaterial> Certificates::Read() const {
  TlsMaterial material;
  SSMD_ASSIGN_OR_RETURN(material.certificate, ReadPemFile("--tls-cert", files_.certificate));
  SSMD_ASSIGN_OR_RETURN(material.key, ReadPemFile("--tls-key", files_.key));
  if (!files_.client_ca.empty()) {
    SSMD_ASSIGN_OR_RETURN(material.client_ca, ReadPemFile("--tls-client-ca", files_.client_ca));
  }
  SSMD_RETURN_IF_ERROR(Check(files_, material));
  return material;
}

}  // namespace ssmd::server
