// Certificates for tests of TLS, made anew: P-256, self-signed, of localhost and 127.0.0.1.
#ifndef SSMD_TESTS_SUPPORT_TLS_FILES_H_
#define SSMD_TESTS_SUPPORT_TLS_FILES_H_

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <string>

#include "server/options.h"
#include "tests/support/temp_folder.h"

namespace ssmd::testing {

// Writes cert.pem and key.pem, each in one go, as a rotation should. `name`: the subject's common
// name. A negative lifetime gives one that has expired.
inline server::TlsFiles MakeTlsFiles(const TempFolder& folder, const std::string& name,
                                     int lifetime_seconds = 3600) {
  static std::atomic<int> serial{1};
  const server::TlsFiles files{folder.File("cert.pem"), folder.File("key.pem"), ""};
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -7200);
  X509_gmtime_adj(X509_getm_notAfter(certificate), lifetime_seconds);
  X509_set_pubkey(certificate, key);
  X509_NAME* subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate, subject);
  X509_EXTENSION* names =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
  X509_add_ext(certificate, names, -1);
  X509_EXTENSION_free(names);
  X509_sign(certificate, key, EVP_sha256());
  const auto write = [](const std::string& path, const auto& pem) {
    const std::string unfinished = path + ".new";
    std::FILE* out = std::fopen(unfinished.c_str(), "w");
    pem(out);
    std::fclose(out);
    std::filesystem::rename(unfinished, path);
  };
  write(files.certificate, [&](std::FILE* out) { PEM_write_X509(out, certificate); });
  write(files.key, [&](std::FILE* out) {
    PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
  X509_free(certificate);
  EVP_PKEY_free(key);
  return files;
}

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_SUPPORT_TLS_FILES_H_
