// Reads certificates and keys, with errors that name the flag.
#ifndef SSMD_SERVER_ACCESS_PEM_FILE_H_
#define SSMD_SERVER_ACCESS_PEM_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace ssmd::server {

inline constexpr size_t kPemBytesMax = size_t{1} << 20;

absl::StatusOr<std::string> ReadPemFile(const char* flag, const std::string& path);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_ACCESS_PEM_FILE_H_
