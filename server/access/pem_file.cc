// See pem_file.h.
#include "server/access/pem_file.h"

#include <fstream>

#include "absl/strings/str_cat.h"

namespace ssmd::server {

absl::StatusOr<std::string> ReadPemFile(const char* flag, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(flag, " ", path, " cannot be read"));
  std::string text(kPemBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kPemBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " ", path, " is larger than ", kPemBytesMax, " bytes"));
  }
  if (text.find("-----BEGIN ") == std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(flag, " ", path, " holds no PEM block"));
  }
  return text;
}

}  // namespace ssmd::server
