// See secret_file.h.
#include "server/access/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/descriptor.h"

namespace ssmd::server {
namespace {

absl::Status Unreadable(const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(path, " cannot be read"));
}

}  // namespace

absl::StatusOr<std::string> ReadSecretFile(const std::string& path, size_t most_bytes) {
  // A pipe without a writer would hold the opening up.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!file.valid() || fstat(file.get(), &info) != 0) return Unreadable(path);
  if (S_ISDIR(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is a folder: name the file in it"));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, " is no regular file (a pipe or a device): write what it gives to a file"));
  }
  std::string text(most_bytes + 1, '\0');
  size_t bytes = 0;
  while (bytes < text.size()) {
    const ssize_t got = read(file.get(), text.data() + bytes, text.size() - bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Unreadable(path);
    if (got == 0) break;
    bytes += static_cast<size_t>(got);
  }
  text.resize(bytes);
  if (bytes > most_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is larger than ", most_bytes, " bytes"));
  }
  return text;
}

}  // namespace ssmd::server
