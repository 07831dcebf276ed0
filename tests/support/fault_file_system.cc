#include "tests/support/fault_file_system.h"

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"

namespace ssmd::testing {
namespace {

std::string FolderOf(const std::string& path) { return path.substr(0, path.find_last_of('/')); }

}  // namespace

class FaultAppendFile final : public AppendFile {
 public:
  FaultAppendFile(FaultFileSystem* files, FaultFileSystem::NodeRef node)
      : files_(files), node_(std::move(node)) {}

  absl::Status Append(std::string_view bytes) override {
    MutexLock lock(&files_->mutex_);
    if (files_->crashed_) return files_->Begin();
    absl::Status status = files_->Begin();
    if (!status.ok()) bytes = bytes.substr(0, absl::IsInternal(status) ? 0 : bytes.size() / 2);
    Change({-1, std::string(bytes)});
    return status;
  }

  absl::Status Truncate(int64_t bytes) override {
    MutexLock lock(&files_->mutex_);
    SSMD_RETURN_IF_ERROR(files_->Begin());
    Change({bytes, ""});
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    MutexLock lock(&files_->mutex_);
    SSMD_RETURN_IF_ERROR(files_->Begin());
    node_->synced = node_->written;
    node_->unsynced.clear();
    return absl::OkStatus();
  }

  // One process has this disk.
  absl::Status Lock() override { return absl::OkStatus(); }

 private:
  void Change(FaultFileSystem::Change change) {
    FaultFileSystem::Apply(change, &node_->written);
    node_->unsynced.push_back(std::move(change));
  }

  FaultFileSystem* files_;
  FaultFileSystem::NodeRef node_;
};

class FaultReadFile final : public ReadFile {
 public:
  FaultReadFile(FaultFileSystem* files, FaultFileSystem::NodeRef node, int64_t bytes)
      : files_(files), node_(std::move(node)), bytes_(bytes) {}

  int64_t bytes() const override { return bytes_; }

  absl::Status ReadAt(int64_t offset, absl::Span<char> out) const override {
    MutexLock lock(&files_->mutex_);
    if (files_->crashed_ || files_->fail_reads_) return absl::InternalError("cannot be read");
    const std::string& bytes = node_->written;
    const auto begin = static_cast<size_t>(offset);
    if (begin > bytes.size() || out.size() > bytes.size() - begin) {
      return absl::DataLossError("was shortened while it was read");
    }
    std::copy_n(bytes.data() + begin, out.size(), out.data());
    return absl::OkStatus();
  }

 private:
  FaultFileSystem* files_;
  FaultFileSystem::NodeRef node_;
  int64_t bytes_;
};

void FaultFileSystem::FailAt(int64_t first, Fault fault, int64_t count) {
  MutexLock lock(&mutex_);
  for (int64_t i = 0; i < count; ++i) faults_[operations_ + first + i] = fault;
}

void FaultFileSystem::ClearFaults() {
  MutexLock lock(&mutex_);
  faults_.clear();
}

void FaultFileSystem::FailReads(bool fail) {
  MutexLock lock(&mutex_);
  fail_reads_ = fail;
}

int64_t FaultFileSystem::operations() const {
  MutexLock lock(&mutex_);
  return operations_;
}

bool FaultFileSystem::crashed() const {
  MutexLock lock(&mutex_);
  return crashed_;
}

absl::Status FaultFileSystem::Begin() {
  if (crashed_) return absl::UnavailableError("the machine is down");
  const int64_t operation = operations_++;
  const auto fault = faults_.find(operation);
  if (fault == faults_.end()) return absl::OkStatus();
  switch (fault->second) {
    case Fault::kFull:
      return absl::ResourceExhaustedError("cannot be written: No space left on device");
    case Fault::kBroken:
      return absl::InternalError("cannot be written: Input/output error");
    case Fault::kCrash:
      break;
  }
  crashed_ = true;
  return absl::UnavailableError("the machine went down");
}

void FaultFileSystem::Apply(const NameChange& change, std::map<std::string, NodeRef>* names) {
  if (!change.from.empty()) names->erase(change.from);
  if (change.node == nullptr) {
    names->erase(change.path);
  } else {
    (*names)[change.path] = change.node;
  }
}

void FaultFileSystem::Apply(const Change& change, std::string* bytes) {
  if (change.truncated_to >= 0) bytes->resize(static_cast<size_t>(change.truncated_to));
  bytes->append(change.appended);
}

void FaultFileSystem::SetName(NameChange change) {
  Apply(change, &names_);
  unsynced_names_.push_back(std::move(change));
}

void FaultFileSystem::Restart(Crash crash, uint32_t seed) {
  MutexLock lock(&mutex_);
  random_.seed(seed);
  crashed_ = false;
  faults_.clear();
  if (crash == Crash::kProcess) return;
  LoseNames(crash == Crash::kMachineTorn);
  for (const auto& [path, node] : names_) LoseBytes(node.get(), crash == Crash::kMachineTorn);
}

void FaultFileSystem::LoseNames(bool some) {
  const size_t kept = some ? random_() % (unsynced_names_.size() + 1) : 0;
  for (size_t i = 0; i < kept; ++i) Apply(unsynced_names_[i], &synced_names_);
  unsynced_names_.clear();
  names_ = synced_names_;
}

void FaultFileSystem::LoseBytes(Node* node, bool some) {
  const size_t kept = some ? random_() % (node->unsynced.size() + 1) : 0;
  for (size_t i = 0; i < kept; ++i) {
    Change& change = node->unsynced[i];
    if (i + 1 == kept) change.appended = Holed(std::move(change.appended));
    Apply(change, &node->synced);
  }
  node->unsynced.clear();
  node->written = node->synced;
}

// As pages come to the medium in any order: a part is cut off, and a part of what is left is zeros.
std::string FaultFileSystem::Holed(std::string bytes) {
  bytes.resize(random_() % (bytes.size() + 1));
  const size_t begin = random_() % (bytes.size() + 1);
  const size_t end = begin + random_() % (bytes.size() - begin + 1);
  if (random_() % 2 == 0) std::fill(bytes.begin() + begin, bytes.begin() + end, '\0');
  return bytes;
}

void FaultFileSystem::Write(const std::string& path, std::string bytes) {
  MutexLock lock(&mutex_);
  folders_.insert(FolderOf(path));
  auto node = std::make_shared<Node>();
  node->written = node->synced = std::move(bytes);
  names_[path] = synced_names_[path] = std::move(node);
}

std::string FaultFileSystem::Read(const std::string& path) const {
  MutexLock lock(&mutex_);
  const auto found = names_.find(path);
  return found == names_.end() ? "" : found->second->written;
}

std::vector<std::string> FaultFileSystem::Paths() const {
  MutexLock lock(&mutex_);
  std::vector<std::string> paths;
  for (const auto& [path, node] : names_) paths.push_back(path);
  return paths;
}

absl::StatusOr<std::unique_ptr<AppendFile>> FaultFileSystem::Create(const std::string& path) {
  MutexLock lock(&mutex_);
  SSMD_RETURN_IF_ERROR(Begin());
  if (names_.count(path) > 0) return absl::AlreadyExistsError("is there already");
  if (folders_.count(FolderOf(path)) == 0) return absl::NotFoundError("its folder is not there");
  auto node = std::make_shared<Node>();
  SetName({path, node, ""});
  return std::make_unique<FaultAppendFile>(this, std::move(node));
}

absl::StatusOr<std::unique_ptr<AppendFile>> FaultFileSystem::OpenToAppend(const std::string& path) {
  MutexLock lock(&mutex_);
  if (crashed_) return Begin();
  const auto found = names_.find(path);
  if (found == names_.end()) return absl::NotFoundError("is not there");
  return std::make_unique<FaultAppendFile>(this, found->second);
}

absl::StatusOr<std::unique_ptr<ReadFile>> FaultFileSystem::OpenToRead(const std::string& path) {
  MutexLock lock(&mutex_);
  if (crashed_) return Begin();
  const auto found = names_.find(path);
  if (found == names_.end()) return absl::NotFoundError("is not there");
  const auto bytes = static_cast<int64_t>(found->second->written.size());
  return std::make_unique<FaultReadFile>(this, found->second, bytes);
}

absl::Status FaultFileSystem::Rename(const std::string& from, const std::string& to) {
  MutexLock lock(&mutex_);
  SSMD_RETURN_IF_ERROR(Begin());
  const auto found = names_.find(from);
  if (found == names_.end()) return absl::NotFoundError("is not there");
  SetName({to, found->second, from});
  return absl::OkStatus();
}

absl::Status FaultFileSystem::Remove(const std::string& path) {
  MutexLock lock(&mutex_);
  SSMD_RETURN_IF_ERROR(Begin());
  if (names_.count(path) == 0) return absl::NotFoundError("is not there");
  SetName({path, nullptr, ""});
  return absl::OkStatus();
}

absl::Status FaultFileSystem::MakeDirectory(const std::string& path) {
  MutexLock lock(&mutex_);
  SSMD_RETURN_IF_ERROR(Begin());
  folders_.insert(path);
  return absl::OkStatus();
}

absl::Status FaultFileSystem::SyncDirectory(const std::string& path) {
  MutexLock lock(&mutex_);
  SSMD_RETURN_IF_ERROR(Begin());
  std::vector<NameChange> others;
  for (NameChange& change : unsynced_names_) {
    if (FolderOf(change.path) == path) {
      Apply(change, &synced_names_);
    } else {
      others.push_back(std::move(change));
    }
  }
  unsynced_names_ = std::move(others);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<FolderEntry>> FaultFileSystem::List(const std::string& path) {
  MutexLock lock(&mutex_);
  if (crashed_) return Begin();
  if (folders_.count(path) == 0) return absl::NotFoundError("cannot be listed");
  std::vector<FolderEntry> entries;
  for (const auto& [name, node] : names_) {
    if (FolderOf(name) != path) continue;
    FolderEntry entry;
    entry.name = name.substr(path.size() + 1);
    entry.bytes = static_cast<int64_t>(node->written.size());
    entry.kind = FolderEntry::Kind::kFile;
    entries.push_back(std::move(entry));
  }
  for (const std::string& folder : folders_) {
    if (folder == path || FolderOf(folder) != path) continue;
    FolderEntry entry;
    entry.name = folder.substr(path.size() + 1);
    entry.kind = FolderEntry::Kind::kFolder;
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace ssmd::testing
