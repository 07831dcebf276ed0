#include "engine/state/state_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/fault_point.h"
#include "engine/base/file_system.h"
#include "engine/base/secure_random.h"
#include "engine/base/status_macros.h"

namespace ssmd {
namespace {

constexpr mode_t kFileMode = 0600;
constexpr size_t kReplicaIdDigits = 32;

FaultPoint open_lock_fault("state_dir.open_lock", FaultPoint::Kind::kOpen);
FaultPoint lock_fault("state_dir.lock", FaultPoint::Kind::kOpen);
FaultPoint write_lock_fault("state_dir.write_lock", FaultPoint::Kind::kWrite);

absl::Status Error(const std::string& file, absl::string_view what) {
  return absl::ErrnoToStatus(errno, absl::StrCat(file, ": ", what));
}

// "process 123", from what its holder wrote into the file.
std::string HolderOf(int lock) {
  char text[20];
  const ssize_t count = pread(lock, text, sizeof(text), 0);
  const absl::string_view written(text, static_cast<size_t>(std::max<ssize_t>(count, 0)));
  const absl::string_view pid = absl::StripAsciiWhitespace(written);
  const bool number = !pid.empty() && std::all_of(pid.begin(), pid.end(),
                                                  [](char c) { return absl::ascii_isdigit(c); });
  return number ? absl::StrCat("process ", pid) : "another process";
}

absl::Status WriteHolder(const std::string& file, int lock) {
  const std::string text = absl::StrCat(getpid(), "\n");
  if (!write_lock_fault.Hit(ENOSPC) && ftruncate(lock, 0) == 0 &&
      pwrite(lock, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size())) {
    return absl::OkStatus();
  }
  return Error(file, "cannot be written");
}

}  // namespace

absl::StatusOr<StateDir> StateDir::Lock(const std::string& path) {
  absl::Status made = PosixFileSystem().MakeDirectory(path);
  if (!made.ok()) return Named(path, made);
  const std::string file = path + "/LOCK";
  constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  Descriptor lock(open_lock_fault.Hit(EMFILE) ? -1 : open(file.c_str(), kFlags, kFileMode));
  if (!lock.valid()) return Error(file, "cannot be opened");
  if (lock_fault.Hit(ENOLCK) || flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Error(file, "cannot be locked");
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": is in use by ", HolderOf(lock.get()),
                     ": stop that one first, or give this one a state folder of its own"));
  }
  absl::Status written = WriteHolder(file, lock.get());
  if (!written.ok()) return written;
  return StateDir(path, std::move(lock));
}

absl::StatusOr<std::string> StateDir::ReplicaId() const {
  PosixFileSystem files;
  const std::string path = path_ + "/REPLICA";
  auto existing = files.OpenToRead(path);
  if (existing.ok()) {
    std::string id(kReplicaIdDigits, '\0');
    const bool whole = (*existing)->bytes() == static_cast<int64_t>(id.size());
    if (whole) SSMD_RETURN_IF_ERROR((*existing)->ReadAt(0, absl::MakeSpan(id)));
    if (whole && IsRandomId(id)) return id;
    return absl::DataLossError(absl::StrCat(
        path, ": is damaged. Remove it to serve this folder's sessions as those of a new replica"));
  }
  if (!absl::IsNotFound(existing.status())) return Named(path, existing.status());
  std::string id = SecureRandomId();
  const std::string temporary = path + ".tmp";
  files.Remove(temporary).IgnoreError();
  SSMD_ASSIGN_OR_RETURN(const auto file, files.Create(temporary));
  SSMD_RETURN_IF_ERROR(file->Append(id));
  SSMD_RETURN_IF_ERROR(file->Sync());
  SSMD_RETURN_IF_ERROR(files.Rename(temporary, path));
  SSMD_RETURN_IF_ERROR(files.SyncDirectory(path_));
  return id;
}

}  // namespace ssmd
