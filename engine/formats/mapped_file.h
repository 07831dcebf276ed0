// A file of a checkpoint, mapped read-only.
//
// Only regular files are mapped (after following symbolic links: model caches are made of them), so
// that a pipe or a device cannot block the loader. The file must not be changed or truncated while
// it is mapped: a stated limit, because the kernel answers such a read with SIGBUS.
// Immutable and thread-safe once open; move-only, unmapped on destruction.
#ifndef SSMD_ENGINE_FORMATS_MAPPED_FILE_H_
#define SSMD_ENGINE_FORMATS_MAPPED_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace ssmd {

// True where `path` is a regular file, links followed.
bool IsRegularFile(const std::string& path);

class MappedFile {
 public:
  // NOT_FOUND where there is no file; INVALID_ARGUMENT where it is not a regular file or holds more
  // than `max_bytes`. An empty file maps to no bytes. Errors name the file's last path component.
  static absl::StatusOr<MappedFile> Open(const std::string& path, uint64_t max_bytes = UINT64_MAX);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  const std::string& name() const { return name_; }
  // Name, size and time of the last change: what tells, without reading it, that it is the same.
  std::string identity() const;

 private:
  MappedFile(std::string name, const std::byte* data, size_t size, int64_t changed_ns);

  std::string name_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  int64_t changed_ns_ = 0;  // since 1970
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_MAPPED_FILE_H_
