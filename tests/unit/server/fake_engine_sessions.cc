// FakeEngine's sessions: there are none, but calls about them are written down. See fake_engine.h.
#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"
#include "tests/unit/server/fake_engine.h"

namespace ssmd::server {
namespace {

SessionInfo Session(const std::string& id) {
  SessionInfo session;
  session.session_id = id;
  session.model = std::string("m");
  session.last_token_ids = {7, 8};
  return session;
}

absl::Status NotFound() {
  return WithReason(absl::NotFoundError("no such session"), reason::kSessionNotFound);
}

// 99: none.
std::string Shown(const std::optional<uint64_t>& revision) {
  return absl::StrCat(revision.value_or(99));
}

}  // namespace

FakeEngine::Creation FakeEngine::WaitForCreation() {
  MutexLock lock(&mutex_);
  while (creations_.empty()) changed_.Wait(&mutex_);
  Creation creation = std::move(creations_.front());
  creations_.pop_front();
  return creation;
}

void FakeEngine::WaitForCreationCancelled() {
  MutexLock lock(&mutex_);
  while (creations_cancelled_ == 0) changed_.Wait(&mutex_);
}

void FakeEngine::HoldChanges(bool held) {
  MutexLock lock(&mutex_);
  held_ = held;
  changed_.NotifyAll();
}

void FakeEngine::WaitForHeldChanges(int count) {
  MutexLock lock(&mutex_);
  while (held_changes_ < count) changed_.Wait(&mutex_);
}

void FakeEngine::WaitWhileHeld() {
  MutexLock lock(&mutex_);
  ++held_changes_;
  changed_.NotifyAll();
  while (held_) changed_.Wait(&mutex_);
  --held_changes_;
}

void FakeEngine::SetSnapshot(EncodedSnapshot snapshot) {
  MutexLock lock(&mutex_);
  snapshot_ = std::move(snapshot);
}

void FakeEngine::SetSnapshotBytesMax(int64_t bytes) {
  MutexLock lock(&mutex_);
  snapshot_bytes_max_ = bytes;
}

std::string FakeEngine::imported() const {
  MutexLock lock(&mutex_);
  return imported_;
}

Engine::ImportOptions FakeEngine::import_options() const {
  MutexLock lock(&mutex_);
  return import_options_;
}

void FakeEngine::SetStoreTrouble(std::string why, Duration refused) {
  MutexLock lock(&mutex_);
  store_refuses_ = refused;
  store_trouble_ = std::move(why);
}

void FakeEngine::SetMaintenance(absl::Status status) {
  MutexLock lock(&mutex_);
  maintenance_ = std::move(status);
}

int FakeEngine::maintained() const {
  MutexLock lock(&mutex_);
  return maintained_;
}

void FakeEngine::WaitForMaintenance(int count) {
  MutexLock lock(&mutex_);
  while (maintained_ < count) changed_.Wait(&mutex_);
}

std::optional<TimePoint> FakeEngine::store_all_deadline() const {
  MutexLock lock(&mutex_);
  return store_all_deadline_;
}

std::function<void()> FakeEngine::CreateSession(
    CreateSessionRequest request, std::string /*request_id*/,
    std::function<void(absl::StatusOr<SessionInfo>)> done) {
  Record(absl::StrCat("create ", request.tenant, " ", request.model));
  if (!request.prompt.has_value()) {
    WaitWhileHeld();
    done(Session("0123456789abcdef0123456789abcdef"));
    return [] {};
  }
  MutexLock lock(&mutex_);
  creations_.push_back(Creation{std::move(request), std::move(done)});
  changed_.NotifyAll();
  return [this] {
    MutexLock cancel_lock(&mutex_);
    ++creations_cancelled_;
    changed_.NotifyAll();
  };
}

absl::StatusOr<SessionInfo> FakeEngine::GetSession(const std::string& tenant,
                                                   const std::string& session_id) const {
  Record(absl::StrCat("get ", tenant, " ", session_id));
  if (session_id == "nope") return NotFound();
  return Session(session_id);
}

absl::StatusOr<SessionPage> FakeEngine::ListSessions(const std::string& tenant,
                                                     const SessionFilter& filter, int page_size,
                                                     const std::string& page_token) const {
  Record(absl::StrCat("list ", tenant, " ", filter.model, " ", filter.parent_id, " ", page_size,
                      " ", page_token));
  return SessionPage{{SessionInfo{}, SessionInfo{}}, "next"};
}

absl::StatusOr<std::vector<SessionInfo>> FakeEngine::ForkSession(const std::string& tenant,
                                                                 const std::string& session_id,
                                                                 const ForkOptions& options) {
  Record(absl::StrCat("fork ", tenant, " ", session_id, " ", options.count, " ", options.checkpoint,
                      " ", options.position.value_or(-1), " ", Shown(options.expected_revision),
                      " ", options.lifetime.ttl_ms));
  WaitWhileHeld();
  if (session_id == "nope") return NotFound();
  std::vector<SessionInfo> children;
  children.reserve(static_cast<size_t>(options.count));
  for (int i = 0; i < options.count; ++i) children.push_back(Session(absl::StrCat("child", i)));
  return children;
}

absl::StatusOr<SessionInfo> FakeEngine::RewindSession(const std::string& tenant,
                                                      const std::string& session_id,
                                                      const RewindTarget& target) {
  Record(absl::StrCat("rewind ", tenant, " ", session_id, " ", target.checkpoint, " ",
                      target.position.value_or(-1), " ", target.turns.value_or(-1), " ",
                      target.allow_recompute ? "recompute" : "held", " ",
                      Shown(target.expected_revision)));
  WaitWhileHeld();
  return Session(session_id);
}

absl::StatusOr<SessionInfo> FakeEngine::CheckpointSession(const std::string& tenant,
                                                          const std::string& session_id,
                                                          const CheckpointOptions& options) {
  Record(absl::StrCat("checkpoint ", tenant, " ", session_id, " ", options.name, " ",
                      options.remove ? "remove" : "set", " ", Shown(options.expected_revision)));
  WaitWhileHeld();
  return Session(session_id);
}

absl::Status FakeEngine::DeleteSession(const std::string& tenant, const std::string& session_id,
                                       std::optional<uint64_t> expected_revision) {
  Record(absl::StrCat("delete ", tenant, " ", session_id, " ", Shown(expected_revision)));
  WaitWhileHeld();
  return absl::OkStatus();
}

void FakeEngine::ExportSession(const std::string& tenant, const std::string& session_id,
                               const std::string& checkpoint,
                               std::function<void(absl::StatusOr<EncodedSnapshot>)> done) {
  Record(absl::StrCat("export ", tenant, " ", session_id, " ", checkpoint));
  if (session_id == "nope") {
    done(NotFound());
    return;
  }
  EncodedSnapshot snapshot;
  {
    MutexLock lock(&mutex_);
    snapshot = snapshot_;
  }
  done(std::move(snapshot));
}

absl::StatusOr<SessionInfo> FakeEngine::ImportSession(const std::string& tenant,
                                                      const ImportOptions& options,
                                                      absl::Span<const char> snapshot) {
  Record(absl::StrCat("import ", tenant, " ", options.model, " ", snapshot.size()));
  WaitWhileHeld();
  MutexLock lock(&mutex_);
  imported_ = std::string(snapshot.data(), snapshot.size());
  import_options_ = options;
  return Session("imported");
}

absl::StatusOr<int64_t> FakeEngine::SnapshotBytesMax(const std::string& model) const {
  if (!model.empty() && model != "m") {
    return WithReason(absl::NotFoundError("no such model"), reason::kModelNotFound);
  }
  MutexLock lock(&mutex_);
  return snapshot_bytes_max_;
}

absl::Status FakeEngine::Maintain() {
  MutexLock lock(&mutex_);
  ++maintained_;
  changed_.NotifyAll();
  return maintenance_;
}

absl::Status FakeEngine::StoreAll(TimePoint deadline) {
  MutexLock lock(&mutex_);
  store_all_deadline_ = deadline;
  return absl::OkStatus();
}

absl::Status FakeEngine::LeaveReplicas(TimePoint /*deadline*/) { return absl::OkStatus(); }

EngineFigures FakeEngine::Figures() const {
  EngineFigures figures;
  MutexLock lock(&mutex_);
  figures.sharing.emplace().sessions = 13;
  figures.sharing->trouble = store_trouble_;
  figures.sharing->refused = store_refuses_;
  figures.log.bytes = 11;
  figures.store.bytes = 12;
  return figures;
}

}  // namespace ssmd::server
