#include "engine/base/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/descriptor.h"
#include "engine/base/fault_point.h"
#include "engine/base/status_macros.h"

namespace ssmd {
namespace {

constexpr mode_t kFileMode = 0600;
constexpr mode_t kFolderMode = 0700;

FaultPoint create_fault("file.create", FaultPoint::Kind::kOpen);
FaultPoint append_fault("file.open_to_append", FaultPoint::Kind::kOpen);
FaultPoint open_fault("file.open_to_read", FaultPoint::Kind::kOpen);
FaultPoint read_fault("file.read", FaultPoint::Kind::kRead);
FaultPoint write_fault("file.write", FaultPoint::Kind::kWrite);
FaultPoint truncate_fault("file.truncate", FaultPoint::Kind::kWrite);
FaultPoint sync_fault("file.sync", FaultPoint::Kind::kSync);
FaultPoint rename_fault("file.rename", FaultPoint::Kind::kName);
FaultPoint remove_fault("file.remove", FaultPoint::Kind::kName);
FaultPoint make_folder_fault("folder.make", FaultPoint::Kind::kName);
FaultPoint sync_folder_fault("folder.sync", FaultPoint::Kind::kSync);
FaultPoint list_folder_fault("folder.list", FaultPoint::Kind::kRead);

absl::Status Error(int error, absl::string_view what) {
  absl::Status status = absl::ErrnoToStatus(error, what);
  if (status.code() != absl::StatusCode::kUnknown) return status;
  return absl::InternalError(status.message());
}

// Calls `call` again while it is interrupted by a signal.
template <typename Call>
auto Uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

Descriptor OpenDescriptor(const std::string& path, int flags) {
  return Descriptor(Uninterrupted(
      [&] { return open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, kFileMode); }));
}

class PosixAppendFile final : public AppendFile {
 public:
  explicit PosixAppendFile(Descriptor file) : file_(std::move(file)) {}

  absl::Status Append(std::string_view bytes) override {
    while (!bytes.empty()) {
      // A disk that becomes full takes a part.
      const bool fault = write_fault.Hit();
      const size_t most = fault ? bytes.size() / 2 : bytes.size();
      const ssize_t count = Uninterrupted([&] { return write(file_.get(), bytes.data(), most); });
      if (count < 0 || fault) return Error(fault ? ENOSPC : errno, "cannot be written");
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return absl::OkStatus();
  }

  absl::Status Truncate(int64_t bytes) override {
    if (!truncate_fault.Hit(EIO) &&
        Uninterrupted([&] { return ftruncate(file_.get(), bytes); }) == 0) {
      return absl::OkStatus();
    }
    return Error(errno, "cannot be shortened");
  }

  absl::Status Sync() override {
    if (!sync_fault.Hit(EIO) && Uninterrupted([&] { return fdatasync(file_.get()); }) == 0) {
      return absl::OkStatus();
    }
    return Error(errno, "cannot be synced");
  }

  absl::Status Lock() override {
    if (flock(file_.get(), LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
    if (errno != EWOULDBLOCK) return Error(errno, "cannot be locked");
    return absl::FailedPreconditionError("is in use");
  }

 private:
  Descriptor file_;  // in append mode
};

class PosixReadFile final : public ReadFile {
 public:
  PosixReadFile(Descriptor file, int64_t bytes) : file_(std::move(file)), bytes_(bytes) {}

  int64_t bytes() const override { return bytes_; }

  absl::Status ReadAt(int64_t offset, absl::Span<char> out) const override {
    if (read_fault.Hit(EIO)) return Error(errno, "cannot be read");
    while (!out.empty()) {
      const ssize_t count =
          Uninterrupted([&] { return pread(file_.get(), out.data(), out.size(), offset); });
      if (count < 0) return Error(errno, "cannot be read");
      if (count == 0) return absl::DataLossError("was shortened while it was read");
      out.remove_prefix(static_cast<size_t>(count));
      offset += count;
    }
    return absl::OkStatus();
  }

 private:
  Descriptor file_;
  int64_t bytes_;
};

absl::StatusOr<std::unique_ptr<AppendFile>> OpenAppendFile(FaultPoint& fault, int error,
                                                           const std::string& path, int flags) {
  if (fault.Hit(error)) return Error(errno, "cannot be opened for writing");
  Descriptor file = OpenDescriptor(path, O_WRONLY | O_APPEND | flags);
  if (!file.valid()) return Error(errno, "cannot be opened for writing");
  return std::make_unique<PosixAppendFile>(std::move(file));
}

FolderEntry Examine(int folder, const char* name) {
  FolderEntry entry;
  entry.name = name;
  struct stat info = {};
  // What cannot be examined is of no kind that anyone opens.
  if (fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return entry;
  entry.bytes = info.st_size;
  if (S_ISREG(info.st_mode)) entry.kind = FolderEntry::Kind::kFile;
  if (S_ISDIR(info.st_mode)) entry.kind = FolderEntry::Kind::kFolder;
  return entry;
}

std::string ParentOf(const std::string& path) {
  const size_t last = path.find_last_not_of('/');
  const size_t slash = last == std::string::npos ? 0 : path.find_last_of('/', last);
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

absl::StatusOr<std::unique_ptr<AppendFile>> PosixFileSystem::Create(const std::string& path) {
  return OpenAppendFile(create_fault, ENOSPC, path, O_CREAT | O_EXCL);
}

absl::StatusOr<std::unique_ptr<AppendFile>> PosixFileSystem::OpenToAppend(const std::string& path) {
  return OpenAppendFile(append_fault, EMFILE, path, 0);
}

absl::StatusOr<std::unique_ptr<ReadFile>> PosixFileSystem::OpenToRead(const std::string& path) {
  if (open_fault.Hit(EMFILE)) return Error(errno, "cannot be opened");
  Descriptor file = OpenDescriptor(path, O_RDONLY);
  if (!file.valid()) return Error(errno, "cannot be opened");
  struct stat info = {};
  if (fstat(file.get(), &info) != 0) return Error(errno, "cannot be examined");
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError("is not a regular file");
  return std::make_unique<PosixReadFile>(std::move(file), info.st_size);
}

absl::Status PosixFileSystem::Rename(const std::string& from, const std::string& to) {
  if (!rename_fault.Hit(EIO) && rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  return Error(errno, "cannot be renamed");
}

absl::Status PosixFileSystem::Remove(const std::string& path) {
  if (!remove_fault.Hit(EIO) && unlink(path.c_str()) == 0) return absl::OkStatus();
  return Error(errno, "cannot be removed");
}

absl::Status PosixFileSystem::MakeDirectory(const std::string& path) {
  if (make_folder_fault.Hit(ENOSPC)) return Error(errno, "cannot be made as a folder");
  if (mkdir(path.c_str(), kFolderMode) == 0) return SyncDirectory(ParentOf(path));
  const int error = errno;
  struct stat info = {};
  if (error == EEXIST && stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    // A crash may have come between making it and syncing its name. A folder that others made may
    // have a parent that we may not open, and then its name is their affair.
    SyncDirectory(ParentOf(path)).IgnoreError();
    return absl::OkStatus();
  }
  return Error(error, "cannot be made as a folder");
}

absl::Status PosixFileSystem::SyncDirectory(const std::string& path) {
  const Descriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return Error(errno, "cannot be opened to be synced");
  if (!sync_folder_fault.Hit(EIO) && Uninterrupted([&] { return fsync(folder.get()); }) == 0) {
    return absl::OkStatus();
  }
  return Error(errno, "cannot be synced");
}

absl::StatusOr<std::vector<FolderEntry>> PosixFileSystem::List(const std::string& path) {
  if (list_folder_fault.Hit(EIO)) return Error(errno, "cannot be listed");
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
  if (folder == nullptr) return Error(errno, "cannot be listed");
  std::vector<FolderEntry> entries;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(folder.get());
    if (entry == nullptr) break;
    if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
    entries.push_back(Examine(dirfd(folder.get()), entry->d_name));
  }
  if (errno != 0) return Error(errno, "cannot be listed");
  return entries;
}

absl::Status Named(std::string_view name, const absl::Status& error) {
  return absl::Status(error.code(), absl::StrCat(absl::string_view(name.data(), name.size()), ": ",
                                                 error.message()));
}

}  // namespace ssmd
