#include "clients/ssmctl/snapshot_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace ssmd::ctl {
namespace {

// What a path names behind symbolic links, whether it is there or not. REQUIRES: they end.
std::string BehindLinks(const std::string& path) {
  std::filesystem::path target = path;
  std::error_code no_link;
  while (true) {
    const std::filesystem::path next = std::filesystem::read_symlink(target, no_link);
    if (no_link) return target.string();
    target = target.parent_path() / next;  // `next` alone where it is absolute
  }
}

}  // namespace

SnapshotWriter::~SnapshotWriter() {
  if (file_ == nullptr || file_ == stdout) return;
  std::fclose(file_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

std::optional<std::string> SnapshotWriter::Open() {
  if (path_ == "-") {
    file_ = stdout;
    return std::nullopt;
  }
  struct stat info {};
  const bool exists = ::stat(path_.c_str(), &info) == 0;
  if (!exists && errno == ELOOP) return Problem("make");
  if (exists && !S_ISREG(info.st_mode)) {
    const int fd = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd >= 0) file_ = ::fdopen(fd, "wb");
    if (file_ == nullptr) return Problem("write");
    return std::nullopt;
  }
  target_ = BehindLinks(path_);
  temporary_ = target_ + "." + std::to_string(::getpid()) + ".tmp";
  // A snapshot is a whole conversation: its owner's to read.
  const mode_t mask = ::umask(0077);
  file_ = std::fopen(temporary_.c_str(), "wbxe");
  ::umask(mask);
  if (file_ == nullptr) return Problem("make");
  return std::nullopt;
}

std::optional<std::string> SnapshotWriter::Write(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) return Problem("write");
  bytes_ += static_cast<int64_t>(bytes.size());
  return std::nullopt;
}

std::optional<std::string> SnapshotWriter::Commit() {
  if (std::fflush(file_) != 0) return Problem("write");
  if (file_ == stdout) {
    file_ = nullptr;
    return std::nullopt;
  }
  if (!temporary_.empty()) {
    if (::fsync(::fileno(file_)) != 0) return Problem("write");
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) return Problem("rename");
  }
  std::FILE* file = file_;
  file_ = nullptr;  // no longer ours to remove
  if (std::fclose(file) != 0) return Problem("close");
  return std::nullopt;
}

std::string SnapshotWriter::Problem(const char* verb) const {
  const int error = errno;
  return std::string("cannot ") + verb + " " + (path_ == "-" ? "standard output" : path_) + ": " +
         std::strerror(error);
}

SnapshotReader::~SnapshotReader() {
  if (file_ != nullptr && file_ != stdin) std::fclose(file_);
}

std::optional<std::string> SnapshotReader::Open() {
  file_ = path_ == "-" ? stdin : std::fopen(path_.c_str(), "rbe");
  if (file_ == nullptr) return "cannot open " + path_ + ": " + std::strerror(errno);
  struct stat info {};
  if (::fstat(::fileno(file_), &info) == 0 && S_ISREG(info.st_mode)) size_ = info.st_size;
  return std::nullopt;
}

std::optional<std::string> SnapshotReader::Read(size_t most, std::string* bytes) {
  bytes->resize(most);
  bytes->resize(std::fread(bytes->data(), 1, most, file_));
  if (bytes->empty() && std::ferror(file_) != 0) {
    return "cannot read " + path_ + ": " + std::strerror(errno);
  }
  return std::nullopt;
}

}  // namespace ssmd::ctl
