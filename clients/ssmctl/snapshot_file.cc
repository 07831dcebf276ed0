#include "clients/ssmctl/snapshot_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ssmd::ctl {

SnapshotWriter::~SnapshotWriter() {
  if (file_ == nullptr || file_ == stdout) return;
  std::fclose(file_);
  ::unlink(temporary_.c_str());
}

std::optional<std::string> SnapshotWriter::Open() {
  if (path_ == "-") {
    file_ = stdout;
    return std::nullopt;
  }
  temporary_ = path_ + "." + std::to_string(::getpid()) + ".tmp";
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
  if (::fsync(::fileno(file_)) != 0) return Problem("write");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return Problem("rename");
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
