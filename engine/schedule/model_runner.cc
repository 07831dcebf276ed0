// See model_runner.h. This file: ends and commits. model_runner_start.cc: who starts; and
// model_runner_step.cc: the step itself.
#include "engine/schedule/model_runner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/errors.h"

namespace ssmd {
namespace {

void Compact(std::vector<std::unique_ptr<Turn>>* turns) {
  turns->erase(std::remove(turns->begin(), turns->end(), nullptr), turns->end());
}

}  // namespace

ModelRunner::ModelRunner(Context context, const RunnerLimits& limits)
    : context_(std::move(context)),
      model_(context_.model),
      limits_(limits),
      scheduler_(model_->token_budget, model_->prompt_budget),
      start_policy_(limits.ageing) {
  PublishStats();
}

// --- Before their time ---

absl::Status ModelRunner::ReasonToEnd(const Turn& turn, TimePoint now) const {
  if (turn.cancelled()) return absl::CancelledError("the caller cancelled the request");
  const TurnHead& head = turn.head();
  if (head.deadline.has_value() && now >= *head.deadline) {
    return absl::DeadlineExceededError(
        absl::StrFormat("the deadline passed %.3f s after the request was accepted",
                        Seconds(now - head.submitted)));
  }
  const auto since = turn.times().paused_since();
  if (since.has_value() && now - *since >= limits_.slow_reader_timeout) {
    return WithReason(
        absl::AbortedError(absl::StrFormat(
            "the stream was not read for %.3f s: read faster, or ask for fewer tokens",
            Seconds(now - *since))),
        reason::kSlowReader);
  }
  return absl::OkStatus();
}

void ModelRunner::EndOverdue(TimePoint now) {
  auto over = waiting_.TakeIf([&](const Turn& turn) { return ReasonToEnd(turn, now); });
  for (auto& turn : running_) {
    NotePause(turn.get(), now);
    if (absl::Status reason = ReasonToEnd(*turn, now); !reason.ok()) {
      over.emplace_back(std::move(turn), std::move(reason));
    }
  }
  Compact(&running_);
  for (auto& [turn, reason] : over) EndEarly(std::move(turn), std::move(reason));
}

// A paused turn's states are held as a session's are: they can leave the device.
void ModelRunner::NotePause(Turn* turn, TimePoint now) {
  if (!turn->held_by_reader()) {
    turn->times().EndPause(now);
    return;
  }
  if (turn->times().paused_since().has_value()) return;
  turn->times().BeginPause(now);
  turn->Pause();
  std::vector<Lane*> lanes;
  turn->AppendLanes(&lanes);
  for (Lane* lane : lanes) {
    if (!lane->slot || lane->source != lane->slot.index() || lane->position == 0) continue;
    lane->mark.Release();
    lane->parked = model_->tiers->Adopt(std::move(lane->slot), lane->position);
    lane->source = -1;
  }
  if (context_.observer != nullptr) context_.observer->OnPaused(model_->name);
}

void ModelRunner::EndEarly(std::unique_ptr<Turn> turn, absl::Status reason) {
  if (turn->Salvage()) {
    Commit(std::move(turn), std::move(reason));
  } else {
    FinishTurn(std::move(turn), reason);
  }
}

void ModelRunner::DropSession(const SessionKey& session, const absl::Status& why) {
  const auto belongs = [&](const Turn& turn) {
    return turn.IsOf(session) ? why : absl::OkStatus();
  };
  auto over = waiting_.TakeIf(belongs);
  for (auto& turn : running_) {
    if (absl::Status reason = belongs(*turn); !reason.ok()) {
      over.emplace_back(std::move(turn), std::move(reason));
    }
  }
  Compact(&running_);
  for (auto& [turn, reason] : over) FinishTurn(std::move(turn), reason);
}

// Ends all turns if it has.
bool ModelRunner::DeviceFailed() {
  const std::string what = context_.device->failure();
  if (what.empty()) return false;
  if (!std::exchange(device_failed_, true) && context_.observer != nullptr) {
    context_.observer->OnDeviceFailure(what);
  }
  EndAll(WithReason(absl::UnavailableError("the device has failed and this server is going down: a "
                                           "session is as it was before the turn"),
                    reason::kDeviceFailed));
  return true;
}

void ModelRunner::EndAll(const absl::Status& status) {
  auto over = waiting_.TakeIf([&](const Turn&) { return status; });
  for (auto& turn : running_) over.emplace_back(std::move(turn), status);
  running_.clear();
  for (auto& [turn, reason] : over) EndEarly(std::move(turn), std::move(reason));
  PollCommits();
}

bool ModelRunner::TakeOver(const SessionKey& session, const std::string& request_id,
                           const std::shared_ptr<OutputStream>& stream) {
  const auto take = [&](Turn* turn) {
    if (!turn->IsRequest(session, request_id)) return false;
    turn->TakeOver(stream);
    return true;
  };
  return std::any_of(waiting_.turns().begin(), waiting_.turns().end(),
                     [&](const auto& turn) { return take(turn.get()); }) ||
         std::any_of(running_.begin(), running_.end(),
                     [&](const auto& turn) { return take(turn.get()); }) ||
         std::any_of(committing_.begin(), committing_.end(),
                     [&](const Committing& entry) { return take(entry.turn.get()); });
}

// --- In their time ---

void ModelRunner::EndFinished() {
  std::vector<EndedTurn> over;
  for (auto& turn : running_) {
    if (auto outcome = turn->outcome(); outcome.has_value()) {
      over.emplace_back(std::move(turn), *std::move(outcome));
    }
  }
  Compact(&running_);
  for (auto& [turn, outcome] : over) {
    if (outcome.ok()) {
      Commit(std::move(turn), absl::OkStatus());
    } else {
      FinishTurn(std::move(turn), outcome);
    }
  }
}

// `reason`: OK, or why a turn ended of which something is left to commit.
void ModelRunner::Commit(std::unique_ptr<Turn> turn, absl::Status reason) {
  turn->times().NoteRunEnd(context_.clock->Now());
  committing_.push_back({std::move(turn), std::move(reason), nullptr});
  PollCommits();
}

// True when the turn is over, with `status`.
bool ModelRunner::Propose(Committing* committing, absl::Status* status) {
  auto proposal = committing->turn->Propose();
  if (!proposal.ok()) {
    *status = proposal.status();
    return true;
  }
  if (!proposal->has_value()) {
    *status = absl::OkStatus();
    return true;
  }
  if (!**proposal) return false;
  committing->commit = std::make_shared<PendingCommit>();
  context_.log->Write(
      **std::move(proposal), committing->turn->head().durability,
      [commit = committing->commit, wake = context_.wake](PendingCommit::Result result) {
        commit->Set(std::move(result));
        wake();
      });
  return false;
}

void ModelRunner::PollCommits() {
  std::vector<EndedTurn> over;
  for (Committing& entry : committing_) {
    absl::Status status;
    bool ended = entry.commit == nullptr && Propose(&entry, &status);
    if (entry.commit != nullptr) {
      if (auto result = entry.commit->Take(); result.has_value()) {
        ended = true;
        status = result->status();
        if (result->ok()) entry.turn->Committed(*std::move(*result));
      }
    }
    if (!ended) continue;
    // What was saved of a turn that ended early does not make it a success.
    if (status.ok()) status = entry.reason;
    over.emplace_back(std::move(entry.turn), std::move(status));
  }
  committing_.erase(std::remove_if(committing_.begin(), committing_.end(),
                                   [](const Committing& entry) { return entry.turn == nullptr; }),
                    committing_.end());
  for (auto& [turn, status] : over) FinishTurn(std::move(turn), status);
}

void ModelRunner::FinishTurn(std::unique_ptr<Turn> turn, const absl::Status& status) {
  const TimePoint now = context_.clock->Now();
  RequestRecord record = turn->Record(now);
  record.request_id = turn->head().request_id;
  record.trace_id = turn->head().trace_id;
  record.tenant = turn->head().tenant;
  record.session_id = turn->head().session_id;
  record.model = model_->name;
  record.status = status;
  turn->Release();
  model_->tiers->Reap();  // so that whoever hears of the end finds the slots free
  model_->admission->NoteEnd(now);
  CountTurn(*turn, record);
  if (context_.observer != nullptr) context_.observer->OnRequestEnd(record);
  turn->Deliver(status, now);
}

}  // namespace ssmd
