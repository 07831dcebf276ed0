#include "engine/shared/session_sharing.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/session/session_errors.h"
#include "engine/shared/session_sharing_impl.h"
#include "engine/shared/shared_limits.h"

namespace ssmd {
namespace {

constexpr int kWriters = 2;
constexpr int kHoldThreads = 16;
// After a renewal that failed.
constexpr std::chrono::milliseconds kRenewAgain(100);
constexpr std::chrono::milliseconds kTryAgain(250);
// Whoever makes a session, for a store that does not answer just now.
constexpr std::chrono::seconds kMakersWait(1);

absl::Status ShuttingDown() { return absl::UnavailableError("the server is shutting down"); }

// Collects what came of several sessions' writes, and tells it once.
class AllOf {
 public:
  AllOf(size_t count, std::function<void(absl::Status)> done)
      : left_(count), done_(std::move(done)) {}
  void Note(const absl::Status& status) {
    absl::Status first;
    {
      MutexLock lock(&mutex_);
      if (first_.ok() && !status.ok()) first_ = UnsharedCopy(status);
      if (--left_ > 0) return;
      first = std::exchange(first_, absl::OkStatus());
    }
    done_(std::move(first));
  }

 private:
  Mutex mutex_;
  size_t left_ ABSL_GUARDED_BY(mutex_);
  absl::Status first_ ABSL_GUARDED_BY(mutex_);
  const std::function<void(absl::Status)> done_;
};

}  // namespace

SessionHold& SessionHold::operator=(SessionHold&& other) noexcept {
  if (this != &other) {
    Release();
    sharing_ = std::exchange(other.sharing_, nullptr);
    key_ = std::move(other.key_);
    generation_ = other.generation_;
  }
  return *this;
}

void SessionHold::Release() {
  if (sharing_ != nullptr) std::exchange(sharing_, nullptr)->Release(key_, generation_);
}

std::unique_ptr<SessionSharing> SessionSharing::Make(Replica self, const SharingLimits& limits,
                                                     SharedStore* store, SessionTable* table,
                                                     SessionLog* local,
                                                     std::vector<ModelOfSessions> models,
                                                     SharingHooks hooks) {
  return std::make_unique<SharingImpl>(std::move(self), limits, store, table, local,
                                       std::move(models), std::move(hooks));
}

SharingImpl::SharingImpl(Replica self, const SharingLimits& limits, SharedStore* store,
                         SessionTable* table, SessionLog* local,
                         std::vector<ModelOfSessions> models, SharingHooks hooks)
    : self_(std::move(self)),
      limits_(limits),
      store_(store),
      table_(table),
      local_(local),
      models_(std::move(models)),
      hooks_(std::move(hooks)) {
  const std::vector<FrozenSession> recovered = table_->Freeze();
  MutexLock lock(&mutex_);
  for (const FrozenSession& session : recovered) {
    MakeRow(session.key(), Phase::kRecovered)->needs_image = true;
  }
}

void SharingImpl::Start() {
  threads_.emplace_back([this] { KeepPresence(); });
  threads_.emplace_back([this] { HearWishes(); });
  for (int i = 0; i < kWriters; ++i) threads_.emplace_back([this] { WriteInTime(); });
  for (int i = 0; i < kHoldThreads; ++i) threads_.emplace_back([this] { ServeHolds(); });
}

SharingImpl::~SharingImpl() { Stop(); }

void SharingImpl::Stop() {
  std::deque<HoldTask> tasks;
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    tasks.swap(hold_tasks_);
    changed_.NotifyAll();
    work_.NotifyAll();
  }
  for (HoldTask& task : tasks) task.done(ShuttingDown());
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  Over over;
  {
    MutexLock lock(&mutex_);
    while (!rows_.empty()) EraseRow(SessionKey(rows_.begin()->first), ShuttingDown(), &over);
  }
  Tell(over);
}

// --- Rows ---

SharingImpl::Row* SharingImpl::Find(const SessionKey& key) {
  const auto found = rows_.find(key);
  return found == rows_.end() ? nullptr : &found->second;
}

SharingImpl::Row* SharingImpl::MakeRow(const SessionKey& key, Phase phase) {
  Row* row = &rows_[key];
  row->phase = phase;
  row->generation = ++generations_;
  return row;
}

void SharingImpl::EraseRow(const SessionKey& key, const absl::Status& why, Over* over) {
  Row* row = Find(key);
  if (row == nullptr) return;
  for (Waiter& waiter : row->waiters) over->emplace_back(std::move(waiter.done), why);
  DropRecords(row);
  if (row->due.has_value()) due_.erase({*row->due, key});
  rows_.erase(key);
  changed_.NotifyAll();
}

void SharingImpl::DropRecords(Row* row) {
  for (const std::string& record : row->records) {
    queued_bytes_ -= static_cast<int64_t>(record.size());
  }
  row->records.clear();
}

void SharingImpl::Schedule(const SessionKey& key, Row* row, TimePoint when) {
  if (row->due.has_value()) {
    if (*row->due <= when) return;
    due_.erase({*row->due, key});
  }
  row->due = when;
  due_.emplace(when, key);
  work_.NotifyAll();
}

// --- Holds ---

SessionHold SharingImpl::MakeHold(const SessionKey& key, Row* row) {
  ++row->holds;
  SessionHold hold;
  hold.sharing_ = this;
  hold.key_ = key;
  hold.generation_ = row->generation;
  return hold;
}

void SharingImpl::Release(const SessionKey& key, uint64_t generation) {
  MutexLock lock(&mutex_);
  Row* row = Find(key);
  if (row == nullptr || row->generation != generation) return;
  if (--row->holds == 0 && row->wanted_until.has_value()) Schedule(key, row, Now());
}

std::optional<SessionHold> SharingImpl::TryHold(const SessionKey& key) {
  MutexLock lock(&mutex_);
  Row* row = Find(key);
  if (row == nullptr || row->phase != Phase::kHere || leaving_ || IsRefused()) return std::nullopt;
  return MakeHold(key, row);
}

void SharingImpl::HoldThen(const SessionKey& key, std::optional<TimePoint> deadline,
                           HoldDone done) {
  absl::Status refused;
  {
    MutexLock lock(&mutex_);
    if (stopping_) {
      refused = ShuttingDown();
    } else if (hold_tasks_.size() >= static_cast<size_t>(limits_.waiting_calls)) {
      refused = WithReason(
          absl::ResourceExhaustedError(absl::StrFormat(
              "%d calls wait already for sessions that are elsewhere", limits_.waiting_calls)),
          reason::kQueueFull);
    } else {
      hold_tasks_.push_back({key, deadline, std::move(done)});
      work_.NotifyAll();
      return;
    }
  }
  done(std::move(refused));
}

void SharingImpl::ServeHolds() {
  for (;;) {
    HoldTask task;
    {
      MutexLock lock(&mutex_);
      while (!stopping_ && hold_tasks_.empty()) work_.Wait(&mutex_);
      if (stopping_) return;
      task = std::move(hold_tasks_.front());
      hold_tasks_.pop_front();
    }
    task.done(Hold(task.key, task.deadline));
  }
}

// --- Changes ---

absl::StatusOr<std::vector<SessionHold>> SharingImpl::HoldToChange(
    const std::vector<Change>& changes) {
  std::vector<SessionHold> holds;  // outlives the lock: to release one takes it
  MutexLock lock(&mutex_);
  for (const Change& change : changes) {
    if (IsRefused() && change.kind != Change::Kind::kDeleted) return Refused();
    Row* row = Find(change.key);
    if (row != nullptr && row->phase == Phase::kHere) {
      holds.push_back(MakeHold(change.key, row));
      continue;
    }
    // A new one has no row yet; one of before a restart whose time is over ends without one.
    const bool leaves = row != nullptr && row->phase == Phase::kLeaving;
    if (change.kind == Change::Kind::kChanged || leaves) return SessionMoved(change.key.id);
  }
  return holds;
}

void SharingImpl::Note(std::vector<Change> changes, Done done) {
  const TimePoint now = Now();
  std::shared_ptr<const Done> each;
  if (done != nullptr) {
    const auto all = std::make_shared<AllOf>(changes.size(), std::move(done));
    each = std::make_shared<const Done>([all](const absl::Status& status) { all->Note(status); });
  }
  Over over;
  {
    MutexLock lock(&mutex_);
    for (Change& change : changes) {
      Row* row = Find(change.key);
      if (row == nullptr && change.kind == Change::Kind::kMade) {
        row = MakeRow(change.key, Phase::kHere);
        row->needs_image = true;
      }
      // It was taken over when this had just been applied.
      if (row == nullptr) {
        over.emplace_back(each, SessionMoved(change.key.id));
        continue;
      }
      const bool is_unseen = row->phase == Phase::kRecovered || row->phase == Phase::kClaiming;
      if (change.kind == Change::Kind::kDeleted && is_unseen) {
        // Its time was over before it was looked at again: what the store has may be another's, and
        // ends there.
        if (row->phase == Phase::kRecovered) EraseRow(change.key, absl::OkStatus(), &over);
        over.emplace_back(each, absl::OkStatus());
        continue;
      }
      if (change.kind == Change::Kind::kDeleted) row->deleted = true;
      ++row->noted;
      if (!row->needs_image) {
        queued_bytes_ += static_cast<int64_t>(change.record.size());
        row->records.push_back(std::move(change.record));
      }
      if (queued_bytes_ > limits_.queued_bytes) {
        DropRecords(row);
        row->needs_image = true;
      }
      if (!row->dirty_since.has_value()) row->dirty_since = now;
      if (!row->states_due.has_value()) row->states_due = now + limits_.state_after;
      const bool makes = change.kind == Change::Kind::kMade;
      AwaitWriting(change.key, row, {row->noted, each, makes ? PatienceOfMakers() : now}, &over);
    }
  }
  Tell(over);
}

// Of a store that hiccups: the next call of the new session may be at another replica, which finds
// it in the store or not at all. One that has been gone for a while keeps nobody waiting.
TimePoint SharingImpl::PatienceOfMakers() const {
  const TimePoint now = Now();
  const bool hiccups = last_well_.has_value() && now - *last_well_ < limits_.presence;
  return hiccups ? now + std::min<Duration>(kMakersWait, limits_.patience) : now;
}

void SharingImpl::WhenWritten(const SessionKey& key, Done done) {
  const auto waiting = std::make_shared<const Done>(std::move(done));
  Over over;
  {
    MutexLock lock(&mutex_);
    Row* row = Find(key);
    if (row == nullptr) {
      over.emplace_back(waiting, SessionMoved(key.id));
    } else if (row->written == row->noted && !row->deleted) {
      over.emplace_back(waiting, absl::OkStatus());
    } else {
      AwaitWriting(key, row, {row->noted, waiting, {}}, &over);
    }
  }
  Tell(over);
}

void SharingImpl::AwaitWriting(const SessionKey& key, Row* row, Waiter waiter, Over* over) {
  Schedule(key, row, Now());
  if (waiter.done == nullptr) return;
  if (stopping_) {
    over->emplace_back(std::move(waiter.done), ShuttingDown());
  } else {
    row->waiters.push_back(std::move(waiter));
  }
}

void SharingImpl::Tell(const Over& over) {
  for (const auto& [done, status] : over) {
    if (done != nullptr) (*done)(status);
  }
}

// --- Presence ---

void SharingImpl::KeepPresence() {
  for (;;) {
    const TimePoint begin = Now();
    bool renewed = false;
    {
      MutexLock renewing(&presence_mutex_);
      if (left()) return;
      renewed = Renew(begin);
    }
    MutexLock lock(&mutex_);
    const TimePoint next = begin + (renewed ? limits_.presence / 3 : Duration(kRenewAgain));
    while (!stopping_ && !left_ && Now() < next) changed_.WaitUntil(&mutex_, next);
    if (stopping_) return;
  }
}

bool SharingImpl::Renew(TimePoint begin) {
  const absl::StatusOr<bool> known = store_->Renew(self_, limits_.presence);
  MutexLock lock(&mutex_);
  if (!known.ok()) {
    well_since_.reset();
    ++totals_.failures;
    totals_.trouble = std::string(known.status().message());
    if (absl::IsFailedPrecondition(known.status())) {
      if (!IsRefused()) refused_since_ = begin;
      present_until_ = std::min(present_until_, begin);
      changed_.NotifyAll();
    }
    return false;
  }
  refused_since_.reset();
  if (!*known) {  // and nobody else is known there either
    DoubtAll();
    well_since_.reset();
  }
  present_until_ = begin + limits_.presence;
  if (!well_since_.has_value()) well_since_ = begin;
  last_well_ = begin;
  totals_.trouble.clear();
  changed_.NotifyAll();
  return true;
}

bool SharingImpl::IsTrusted(TimePoint when) {
  MutexLock renewing(&presence_mutex_);
  {
    MutexLock lock(&mutex_);
    if (left_) return false;
    if (last_well_.has_value() && *last_well_ > when) return IsWell();
  }
  if (!Renew(Now())) return false;
  MutexLock lock(&mutex_);
  return IsWell();
}

bool SharingImpl::IsWell() const {
  return well_since_.has_value() && Now() - *well_since_ >= limits_.presence;
}

// The store was away, or has begun anew: what it lost of sessions that nobody uses is put back,
// too.
void SharingImpl::DoubtAll() {
  for (auto& [key, row] : rows_) {
    if (row.phase != Phase::kHere) continue;
    row.in_doubt = true;
    if (!row.dirty_since.has_value()) row.dirty_since = Now();
    Schedule(key, &row, Now());
  }
}

bool SharingImpl::left() const {
  MutexLock lock(&mutex_);
  return left_;
}

bool SharingImpl::may_have_lost() const {
  MutexLock lock(&mutex_);
  return Now() >= present_until_;
}

absl::Status SharingImpl::Refused() const {
  return WithRetryAfter(
      WithReason(absl::UnavailableError(PresentElsewhere().message()), reason::kSharedStore),
      kTryAgain);
}

absl::Status SharingImpl::StoreError(absl::string_view what, const absl::Status& status) {
  ++totals_.failures;
  if (!absl::IsUnavailable(status) && !absl::IsFailedPrecondition(status)) return status;
  return WithRetryAfter(WithReason(absl::UnavailableError(absl::StrFormat(
                                       "%s, and the shared store of sessions cannot tell: %s", what,
                                       status.message())),
                                   reason::kSharedStore),
                        kTryAgain);
}

// --- The end ---

absl::Status SharingImpl::Leave(TimePoint deadline) {
  size_t left = 0;
  {
    MutexLock lock(&mutex_);
    leaving_ = true;
    changed_.NotifyAll();
    for (auto& [key, row] : rows_) {
      if (row.phase == Phase::kHere) GiveWhenIdle(key, &row);
    }
    const auto is_here = [](const auto& entry) { return entry.second.phase != Phase::kRecovered; };
    // What it has it cannot give up while another process is present as this replica.
    while (Now() < deadline && !IsRefused() && std::any_of(rows_.begin(), rows_.end(), is_here)) {
      changed_.WaitUntil(&mutex_, std::min(deadline, Now() + kTryAgain));
    }
    left = static_cast<size_t>(std::count_if(rows_.begin(), rows_.end(), is_here));
    left_ = true;
    changed_.NotifyAll();
  }
  // Whoever looks for one of those takes it over at once, as of what was written.
  MutexLock ending(&presence_mutex_);
  const absl::Status status = store_->Leave(self_);
  if (left == 0) return status;
  return absl::DeadlineExceededError(
      absl::StrFormat("%d sessions could not be given up to other replicas in time", left));
}

void SharingImpl::GiveWhenIdle(const SessionKey& key, Row* row) {
  row->wanted_until = TimePoint::max();
  row->states_due = Now();
  Schedule(key, row, Now());
}

SharingFigures SharingImpl::figures() const {
  const SharedStoreFigures store = store_->figures();
  MutexLock lock(&mutex_);
  SharingFigures figures = totals_;
  figures.reachable = store.reachable;
  const TimePoint now = Now();
  figures.present = now < present_until_;
  figures.queued_bytes = queued_bytes_;
  if (refused_since_.has_value()) figures.refused = now - *refused_since_;
  for (const auto& [key, row] : rows_) {
    ++figures.sessions;
    if (!row.dirty_since.has_value()) continue;
    ++figures.unwritten;
    figures.lag = std::max(figures.lag, now - *row.dirty_since);
  }
  return figures;
}

}  // namespace ssmd
