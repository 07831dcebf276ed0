#include "engine/state/state_files.h"

#include <algorithm>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "engine/base/fault_point.h"
#include "engine/base/status_macros.h"

namespace ssmd {
namespace {

FaultPoint read_memory("memory.stored_state", FaultPoint::Kind::kAllocation);

constexpr size_t kIdDigits = 32;
constexpr size_t kSubfolderDigits = 2;
constexpr absl::string_view kUnfinishedSuffix = ".tmp";
// More than any file of ours has before its state.
constexpr uint64_t kFrontBytesMax = uint64_t{8} << 20;

bool IsLowerHex(std::string_view text, size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

absl::Status CheckId(std::string_view id) {
  if (IsLowerHex(id, kIdDigits)) return absl::OkStatus();
  return absl::InvalidArgumentError("a state's name is 32 lower-case hexadecimal digits");
}

// Errors of states reach callers, who must not be told paths.
absl::Status StateError(const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("the stored state ", status.message()));
}

}  // namespace

absl::Status StateFiles::Open() {
  absl::Status made = files_->MakeDirectory(folder_);
  if (!made.ok()) return Named(folder_, made);
  const auto entries = files_->List(folder_);
  if (!entries.ok()) return Named(folder_, entries.status());
  for (const FolderEntry& entry : *entries) {
    if (entry.kind != FolderEntry::Kind::kFolder) continue;
    if (!IsLowerHex(entry.name, kSubfolderDigits)) continue;
    SSMD_RETURN_IF_ERROR(OpenSubfolder(absl::StrCat(folder_, "/", entry.name)));
  }
  return absl::OkStatus();
}

// What has no name of ours is left alone.
absl::Status StateFiles::OpenSubfolder(const std::string& subfolder) {
  const auto entries = files_->List(subfolder);
  if (!entries.ok()) return Named(subfolder, entries.status());
  for (const FolderEntry& entry : *entries) {
    absl::string_view id = entry.name;
    const bool unfinished = absl::ConsumeSuffix(&id, kUnfinishedSuffix);
    const std::string path = absl::StrCat(subfolder, "/", entry.name);
    if (!IsLowerHex({id.data(), id.size()}, kIdDigits)) continue;
    if (SubfolderOf({id.data(), id.size()}) != subfolder) continue;
    if (entry.kind != FolderEntry::Kind::kFile) continue;
    if (unfinished) {
      if (absl::Status status = files_->Remove(path); !status.ok()) return Named(path, status);
      continue;
    }
    MutexLock lock(&mutex_);
    bytes_by_id_[entry.name] = entry.bytes;
    bytes_ += entry.bytes;
  }
  subfolders_.insert(subfolder);
  return absl::OkStatus();
}

absl::Status StateFiles::Write(const std::string& id, const Snapshot& state) {
  SSMD_RETURN_IF_ERROR(CheckId(id));
  const EncodedSnapshot encoded = EncodeSnapshot(state);
  const auto size = static_cast<int64_t>(encoded.size());
  {
    MutexLock lock(&mutex_);
    if (bytes_by_id_.contains(id)) {
      return absl::AlreadyExistsError("a state of this name is stored already");
    }
    if (bytes_limit_ > 0 && size > bytes_limit_ - bytes_) {
      return absl::ResourceExhaustedError(
          absl::StrFormat("no room for a state of %d bytes on disk: %d of %d are taken", size,
                          bytes_, bytes_limit_));
    }
  }
  absl::Status status = MakeSubfolder(id);
  if (!status.ok()) return StateError(status);
  const std::string path = PathOf(id);
  const std::string unfinished = absl::StrCat(path, kUnfinishedSuffix);
  status = WriteUnder(unfinished, encoded);
  if (status.ok()) status = files_->Rename(unfinished, path);
  if (!status.ok()) {
    // Where that fails, the next start removes it.
    files_->Remove(unfinished).IgnoreError();
    return StateError(status);
  }
  {
    MutexLock lock(&mutex_);
    bytes_by_id_[id] = size;
    bytes_ += size;
  }
  status = files_->SyncDirectory(SubfolderOf(id));
  if (status.ok()) return status;
  // Nobody will ask for it. Where it cannot be removed, its bytes stay counted.
  Remove(id).IgnoreError();
  return StateError(status);
}

absl::Status StateFiles::MakeSubfolder(const std::string& id) {
  std::string subfolder = SubfolderOf(id);
  if (subfolders_.contains(subfolder)) return absl::OkStatus();
  SSMD_RETURN_IF_ERROR(files_->MakeDirectory(subfolder));
  subfolders_.insert(std::move(subfolder));
  return absl::OkStatus();
}

absl::Status StateFiles::WriteUnder(const std::string& path, const EncodedSnapshot& encoded) {
  SSMD_ASSIGN_OR_RETURN(const auto file, files_->Create(path));
  SSMD_RETURN_IF_ERROR(file->Append(encoded.front));
  if (encoded.state != nullptr) {
    SSMD_RETURN_IF_ERROR(file->Append({encoded.state->as<const char>(), encoded.state->bytes()}));
  }
  return file->Sync();
}

absl::StatusOr<Snapshot> StateFiles::Read(const std::string& id,
                                          const SnapshotLimits& limits) const {
  SSMD_RETURN_IF_ERROR(CheckId(id));
  const auto file = files_->OpenToRead(PathOf(id));
  if (absl::IsNotFound(file.status())) return absl::NotFoundError("the state is not stored");
  if (!file.ok()) return StateError(file.status());
  const auto size = static_cast<uint64_t>((*file)->bytes());
  if (size > kFrontBytesMax && size - kFrontBytesMax > limits.state_bytes) {
    return absl::FailedPreconditionError(
        absl::StrFormat("the stored state has %d bytes, and the model's have %d: it is of another "
                        "model",
                        size, limits.state_bytes));
  }
  const std::unique_ptr<char[]> bytes(read_memory.Hit() ? nullptr : new (std::nothrow) char[size]);
  if (bytes == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("no memory to read a stored state of %d bytes", size));
  }
  absl::Status status = (*file)->ReadAt(0, {bytes.get(), size});
  if (!status.ok()) return StateError(status);
  return DecodeSnapshot({bytes.get(), size}, limits);
}

absl::Status StateFiles::Remove(const std::string& id) {
  SSMD_RETURN_IF_ERROR(CheckId(id));
  const absl::Status status = files_->Remove(PathOf(id));
  if (!status.ok() && !absl::IsNotFound(status)) return StateError(status);
  MutexLock lock(&mutex_);
  if (const auto found = bytes_by_id_.find(id); found != bytes_by_id_.end()) {
    bytes_ -= found->second;
    bytes_by_id_.erase(found);
  }
  return absl::OkStatus();
}

std::vector<std::string> StateFiles::List() const {
  std::vector<std::string> ids;
  {
    MutexLock lock(&mutex_);
    ids.reserve(bytes_by_id_.size());
    for (const auto& [id, bytes] : bytes_by_id_) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

int64_t StateFiles::states() const {
  MutexLock lock(&mutex_);
  return static_cast<int64_t>(bytes_by_id_.size());
}

int64_t StateFiles::bytes() const {
  MutexLock lock(&mutex_);
  return bytes_;
}

std::string StateFiles::SubfolderOf(std::string_view id) const {
  return absl::StrCat(folder_, "/", std::string(id.substr(0, kSubfolderDigits)));
}

std::string StateFiles::PathOf(std::string_view id) const {
  return absl::StrCat(SubfolderOf(id), "/", std::string(id));
}

}  // namespace ssmd
