// What the store is told of sessions that are here, and sessions that go.
#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "engine/session/session_errors.h"
#include "engine/shared/session_copy.h"
#include "engine/shared/session_sharing_impl.h"
#include "engine/shared/session_summary.h"

namespace ssmd {
namespace {

constexpr std::chrono::milliseconds kWriteAgain(250);
// Where there is no room: that does not change in a moment.
constexpr std::chrono::seconds kFullAgain(2);
constexpr std::chrono::milliseconds kLookAgain(20);
// Changes are replaced by an image when they are more bytes than it, or than this.
constexpr int64_t kRecordBytes = int64_t{64} << 10;

// For a while, or another process is present as this replica, which passes too.
bool Passes(const absl::Status& why) {
  return absl::IsUnavailable(why) || absl::IsFailedPrecondition(why);
}

// With the code that says whether the store is away for a while or full.
absl::Status NotReplicated(const absl::Status& why) {
  return WithReason(
      absl::Status(
          Passes(why) ? absl::StatusCode::kUnavailable : why.code(),
          absl::StrCat("the turn was committed here, but the shared store of sessions could "
                       "not be told in time (a retry with the same request id gets its "
                       "answer once it could): ",
                       why.message())),
      reason::kNotReplicated);
}

}  // namespace

void SharingImpl::WriteInTime() {
  for (;;) {
    SessionKey key;
    {
      MutexLock lock(&mutex_);
      for (;;) {
        if (stopping_) return;
        if (due_.empty()) {
          work_.Wait(&mutex_);
        } else if (due_.begin()->first > Now()) {
          work_.WaitUntil(&mutex_, TimePoint(due_.begin()->first));
        } else {
          break;
        }
      }
      key = due_.begin()->second;
      due_.erase(due_.begin());
      Row* row = Find(key);
      row->due.reset();
      if (row->writing) {
        row->again = true;
        continue;
      }
      row->writing = true;
    }
    WriteSession(key);
  }
}

void SharingImpl::WriteSession(const SessionKey& key) {
  bool more = true;
  while (more) {
    std::optional<Step> step = NextStep(key);
    if (!step.has_value()) break;
    const absl::Status status = Do(key, &*step);
    more = status.ok() ? Succeeded(key, *step) : Failed(key, *step, status);
  }
  MutexLock lock(&mutex_);
  Row* row = Find(key);
  if (row == nullptr) return;
  row->writing = false;
  if (std::exchange(row->again, false)) Schedule(key, row, Now());
}

// --- What to do ---

std::optional<SharingImpl::Step> SharingImpl::NextStep(const SessionKey& key) {
  MutexLock lock(&mutex_);
  Row* row = Find(key);
  if (row == nullptr || stopping_) return std::nullopt;
  // Of before a restart: it may be somebody else's by now.
  if (row->phase == Phase::kRecovered || row->phase == Phase::kClaiming) return std::nullopt;
  std::optional<Step> step = NextWrite(key, row);
  if (!step.has_value() && MayGive(key, row)) {
    row->phase = Phase::kLeaving;
    step.emplace().kind = Step::Kind::kGiveUp;
  }
  if (step.has_value()) step->fence = row->fence;
  return step;
}

std::optional<SharingImpl::Step> SharingImpl::NextWrite(const SessionKey& key, Row* row) {
  Step step;
  if (row->deleted) {
    step.kind = Step::Kind::kDelete;
    return step;
  }
  if (row->needs_image) {
    // It may have one change more than was noted. To apply that again does nothing.
    step.kind = Step::Kind::kImage;
    step.number = row->noted;
    if (!Freeze(key, &step)) return std::nullopt;
    return step;
  }
  if (row->written < row->noted) {
    step.kind = Step::Kind::kRecord;
    step.number = row->written + 1;
    step.is_last = step.number == row->noted;
    step.bytes = row->records.front();
    return step;
  }
  if (row->in_doubt) {
    step.kind = Step::Kind::kLook;
    return step;
  }
  if (!row->states_due.has_value()) return std::nullopt;
  if (*row->states_due > Now() && !row->wanted_until.has_value()) {
    Schedule(key, row, *row->states_due);
    return std::nullopt;
  }
  row->states_due.reset();
  step.kind = Step::Kind::kStates;
  step.states = row->states;
  if (!Freeze(key, &step)) return std::nullopt;
  return step;
}

// False when it is in the table no more: its deletion is about to be noted.
bool SharingImpl::Freeze(const SessionKey& key, Step* step) const {
  auto frozen = table_->Freeze(key);
  if (frozen.has_value()) step->frozen.emplace(*std::move(frozen));
  return step->frozen.has_value();
}

bool SharingImpl::MayGive(const SessionKey& key, Row* row) {
  if (!row->wanted_until.has_value()) return false;
  if (Now() >= *row->wanted_until) {
    row->wanted_until.reset();
    return false;
  }
  const auto session = table_->Get(key.tenant, key.id);
  if (row->holds == 0 && session.ok() && !session->running) return true;
  Schedule(key, row, Now() + kLookAgain);
  return false;
}

// --- Doing it ---

// Of changes that others follow the summary would say more than the store has.
std::string SharingImpl::Summary(const SessionKey& key, const Step& step) const {
  if (step.kind != Step::Kind::kImage && !step.is_last) return "";
  const auto session = table_->Get(key.tenant, key.id);
  return session.ok() ? EncodeSessionSummary(*session) : "";
}

absl::Status SharingImpl::Do(const SessionKey& key, Step* step) {
  const std::string summary = Summary(key, *step);
  const SharedStore::Write write{key, self_, step->fence, limits_.keep, summary};
  switch (step->kind) {
    case Step::Kind::kDelete:
      return store_->Delete(self_, key, step->fence);
    case Step::Kind::kImage:
      step->bytes = EncodeSessionImage(*step->frozen);
      return store_->PutImage(write, step->number, step->bytes);
    case Step::Kind::kRecord:
      return store_->Append(write, step->number, step->bytes);
    case Step::Kind::kLook:
      return WriteNothing(write);
    case Step::Kind::kStates:
      return WriteStates(write, step);
    case Step::Kind::kGiveUp:
      return store_->GiveUp(self_, key, step->fence);
  }
  return absl::OkStatus();
}

absl::Status SharingImpl::WriteNothing(const SharedStore::Write& write) {
  constexpr char kNoCheckpoint[] = "/";  // none has this name
  return store_->DropState(write, kNoCheckpoint);
}

absl::Status SharingImpl::WriteStates(const SharedStore::Write& write, Step* step) {
  std::map<std::string, StateMark> gone = step->states;
  for (const auto& held : step->frozen->States()) {
    gone.erase(held.checkpoint);
    const StateMark mark{held.state->position, held.state->history_hash()};
    const auto there = step->states.find(held.checkpoint);
    if (there != step->states.end() && there->second == mark) continue;
    auto snapshot = hooks_.encode_state(step->frozen->model(), held.state);
    if (!snapshot.ok()) continue;  // lost: whoever goes on reads the tokens again
    SSMD_RETURN_IF_ERROR(
        store_->PutState(write, {held.checkpoint, held.state->position, *std::move(snapshot)}));
    step->states[held.checkpoint] = mark;
  }
  for (const auto& [name, mark] : gone) {
    SSMD_RETURN_IF_ERROR(store_->DropState(write, name));
    step->states.erase(name);
  }
  return absl::OkStatus();
}

// --- What came of it ---

bool SharingImpl::Succeeded(const SessionKey& key, const Step& step) {
  if (step.kind == Step::Kind::kGiveUp) RemoveLocal(key);
  Over over;
  bool more = true;
  {
    MutexLock lock(&mutex_);
    Row* row = Find(key);
    if (row == nullptr) return false;
    switch (step.kind) {
      case Step::Kind::kDelete:
      case Step::Kind::kGiveUp:
        if (step.kind == Step::Kind::kGiveUp) ++totals_.given_up;
        // Who waits still waits for something that it went without.
        EraseRow(key, row->deleted ? absl::OkStatus() : SessionMoved(key.id), &over);
        more = false;
        break;
      case Step::Kind::kImage:
        row->written = std::max(row->written, step.number);
        // What was noted since is in no record, unless it is in the next image.
        row->needs_image = row->noted != step.number;
        row->image_bytes = static_cast<int64_t>(step.bytes.size());
        row->record_bytes = 0;
        break;
      case Step::Kind::kRecord:
        row->written = step.number;
        if (!row->records.empty()) {
          queued_bytes_ -= static_cast<int64_t>(row->records.front().size());
          row->records.pop_front();
        }
        row->record_bytes += static_cast<int64_t>(step.bytes.size());
        if (row->record_bytes > std::max(kRecordBytes, row->image_bytes)) {
          DropRecords(row);
          row->needs_image = true;
        }
        break;
      case Step::Kind::kLook:
        row->in_doubt = false;
        break;
      case Step::Kind::kStates:
        row->states = step.states;
        break;
    }
    if (more) {
      if (row->written == row->noted && !row->in_doubt) row->dirty_since.reset();
      const auto told =
          std::partition(row->waiters.begin(), row->waiters.end(),
                         [row](const Waiter& waiter) { return waiter.number > row->written; });
      for (auto waiter = told; waiter != row->waiters.end(); ++waiter) {
        over.emplace_back(std::move(waiter->done), absl::OkStatus());
      }
      row->waiters.erase(told, row->waiters.end());
    }
  }
  Tell(over);
  return more;
}

bool SharingImpl::Failed(const SessionKey& key, const Step& step, const absl::Status& status) {
  if (absl::IsAborted(status)) {
    Lose(key);
    return false;
  }
  Over over;
  {
    MutexLock lock(&mutex_);
    Row* row = Find(key);
    if (row == nullptr) return false;
    const bool is_missing = absl::IsNotFound(status) || absl::IsOutOfRange(status);
    if (is_missing && step.kind != Step::Kind::kImage) {
      // The store has lost something: it gets the whole.
      row->in_doubt = false;
      DropRecords(row);
      row->needs_image = true;
      if (absl::IsNotFound(status)) row->states.clear();
      row->states_due = Now();
      if (row->phase == Phase::kLeaving) row->phase = Phase::kHere;
      changed_.NotifyAll();
      return true;
    }
    ++totals_.failures;
    const TimePoint again =
        Now() + (absl::IsResourceExhausted(status) ? Duration(kFullAgain) : Duration(kWriteAgain));
    if (row->phase == Phase::kLeaving) row->phase = Phase::kHere;
    if (step.kind == Step::Kind::kStates) {
      row->states = step.states;
      // Where there is no room for a state, who wants the session reads its tokens again.
      if (absl::IsResourceExhausted(status) && row->wanted_until.has_value()) {
        row->states_due.reset();
      } else {
        row->states_due = again;
      }
    }
    const bool passes = Passes(status);
    const auto told = std::partition(
        row->waiters.begin(), row->waiters.end(),
        [&](const Waiter& waiter) { return passes && again < waiter.patient_until; });
    for (auto waiter = told; waiter != row->waiters.end(); ++waiter) {
      over.emplace_back(std::move(waiter->done), NotReplicated(status));
    }
    row->waiters.erase(told, row->waiters.end());
    Schedule(key, row, again);
    changed_.NotifyAll();
  }
  Tell(over);
  return false;
}

void SharingImpl::Lose(const SessionKey& key) {
  {
    MutexLock lock(&mutex_);
    Row* row = Find(key);
    if (row == nullptr) return;
    row->phase = Phase::kLeaving;  // nobody begins to use it
  }
  RemoveLocal(key);
  Over over;
  {
    MutexLock lock(&mutex_);
    ++totals_.lost;
    EraseRow(key, SessionMoved(key.id), &over);
  }
  Tell(over);
}

}  // namespace ssmd
