#include "engine/formats/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/descriptor.h"
#include "engine/base/fault_point.h"

namespace ssmd {
namespace {

FaultPoint open_mapped_fault("mapped_file.open", FaultPoint::Kind::kOpen);
FaultPoint map_fault("mapped_file.map", FaultPoint::Kind::kAllocation);

std::string LastComponent(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

absl::Status OpenError(const std::string& name, int error) {
  const std::string message = absl::StrCat(name, ": cannot be opened");
  if (error == ENOTDIR) return absl::NotFoundError(message);
  if (error == ELOOP || error == ENAMETOOLONG) return absl::InvalidArgumentError(message);
  return absl::ErrnoToStatus(error, message);
}

}  // namespace

bool IsRegularFile(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path, uint64_t max_bytes) {
  std::string name = LastComponent(path);
  // O_NONBLOCK: opening a pipe without a writer must not wait.
  const Descriptor file(
      open_mapped_fault.Hit(EMFILE) ? -1 : open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return OpenError(name, errno);
  struct stat info = {};
  if (fstat(file.get(), &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(name, ": cannot be examined"));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": is not a regular file"));
  }
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size > max_bytes || size > std::numeric_limits<size_t>::max()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": holds ", size, " bytes, more than the ", max_bytes, " allowed"));
  }
  const int64_t changed_ns = int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
  if (size == 0) return MappedFile(std::move(name), nullptr, 0, changed_ns);
  void* data = map_fault.Hit(ENOMEM) ? MAP_FAILED
                                     : mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) {
    return absl::ErrnoToStatus(errno, absl::StrCat(name, ": cannot be mapped"));
  }
  return MappedFile(std::move(name), static_cast<const std::byte*>(data), size, changed_ns);
}

MappedFile::MappedFile(std::string name, const std::byte* data, size_t size, int64_t changed_ns)
    : name_(std::move(name)), data_(data), size_(size), changed_ns_(changed_ns) {}

std::string MappedFile::identity() const {
  return absl::StrCat(name_, " ", size_, " ", changed_ns_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(name_, other.name_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(changed_ns_, other.changed_ns_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace ssmd
