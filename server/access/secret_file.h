// Reads a file of tokens, certificates or keys, or of a URL with a password.
#ifndef SSMD_SERVER_ACCESS_SECRET_FILE_H_
#define SSMD_SERVER_ACCESS_SECRET_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace ssmd::server {

// Of the file that a link leads to. What is no regular file is refused and not waited for: a pipe
// can be read once, and these are read again. Messages begin with the path.
absl::StatusOr<std::string> ReadSecretFile(const std::string& path, size_t most_bytes);

}  // namespace ssmd::server

#endif  // SSMD_SERVER_ACCESS_SECRET_FILE_H_
