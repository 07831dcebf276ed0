// See pem_file.h.
#include "server/access/pem_file.h"

#include "absl/strings/str_cat.h"
#include "server/access/secret_file.h"

namespace ssmd::server {

absl::StatusOr<std::string> ReadPemFile(const char* flag, const std::string& path) {
  auto text = ReadSecretFile(path, kPemBytesMax);
  if (!text.ok()) {
    return absl::Status(text.status().code(), absl::StrCat(flag, " ", text.status().message()));
  }
  if (text->find("-----BEGIN ") == std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(flag, " ", path, " holds no PEM block"));
  }
  return text;
}

}  // namespace ssmd::server
