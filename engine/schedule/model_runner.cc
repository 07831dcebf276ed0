#include "engine/schedule/model_runner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/schedule/logits_pass.h"

namespace ssmd {
namespace {

constexpr size_t kEarlyEndsKept = 32;

std::string EarlyEndReason(const absl::Status& status) {
  const std::string reason = ReasonOf(status);
  return reason.empty() ? absl::StatusCodeToString(status.code()) : reason;
}

absl::Status SessionDeleted() {
  return WithReason(absl::CancelledError("the session was deleted while its turn was in progress"),
                    reason::kSessionNotFound);
}

}  // namespace

ModelRunner::ModelRunner(ModelInService* model, kernels::Device* device, const RunnerLimits& limits,
                         const Clock* clock, Observer* observer)
    : model_(model),
      device_(device),
      limits_(limits),
      clock_(clock),
      observer_(observer),
      scheduler_(model->token_budget) {
  MutexLock lock(&stats_mutex_);
  stats_.model = model->name;
  stats_.slots_free = model->pool->free_slots();
}

// --- Ends ---

absl::Status ModelRunner::ReasonToEnd(const Turn& turn, TimePoint now) const {
  if (turn.cancelled()) return absl::CancelledError("the caller cancelled the request");
  const TurnHead& head = turn.head();
  if (head.deadline.has_value() && now >= *head.deadline) {
    return absl::DeadlineExceededError(
        absl::StrFormat("the deadline passed %.3f s after the request was accepted",
                        Seconds(now - head.submitted)));
  }
  if (turn.paused_since.has_value() && now - *turn.paused_since >= limits_.slow_reader_timeout) {
    return WithReason(
        absl::AbortedError(absl::StrFormat(
            "the stream was not read for %.3f s: read faster, or ask for fewer tokens",
            Seconds(now - *turn.paused_since))),
        reason::kSlowReader);
  }
  return absl::OkStatus();
}

void ModelRunner::EndOverdue(TimePoint now) {
  auto over = waiting_.TakeIf([&](const Turn& turn) {
    absl::Status reason = ReasonToEnd(turn, now);
    return reason.ok() ? model_->admission->CheckStartable(turn.head().working_slots) : reason;
  });
  for (auto& turn : running_) {
    NotePause(turn.get(), now);
    if (absl::Status reason = ReasonToEnd(*turn, now); !reason.ok()) {
      over.emplace_back(std::move(turn), std::move(reason));
    }
  }
  running_.erase(std::remove(running_.begin(), running_.end(), nullptr), running_.end());
  for (auto& [turn, reason] : over) EndTurn(std::move(turn), std::move(reason));
}

void ModelRunner::NotePause(Turn* turn, TimePoint now) {
  if (!turn->held_by_reader()) {
    turn->paused_since.reset();
  } else if (!turn->paused_since.has_value()) {
    turn->paused_since = now;
    ++turn->pauses;
    if (observer_ != nullptr) observer_->OnPaused(model_->name);
  }
}

void ModelRunner::EndFinished() {
  std::vector<std::pair<std::unique_ptr<Turn>, absl::Status>> over;
  for (auto& turn : running_) {
    if (auto outcome = turn->outcome(); outcome.has_value()) {
      over.emplace_back(std::move(turn), *std::move(outcome));
    }
  }
  running_.erase(std::remove(running_.begin(), running_.end(), nullptr), running_.end());
  for (auto& [turn, outcome] : over) EndTurn(std::move(turn), std::move(outcome));
}

void ModelRunner::EndTurn(std::unique_ptr<Turn> turn, absl::Status status) {
  const TimePoint now = clock_->Now();
  if (status.ok()) status = turn->Commit();
  RequestRecord record = turn->Record(now);
  record.request_id = turn->head().request_id;
  record.tenant = turn->head().tenant;
  record.session_id = turn->head().session_id;
  record.model = model_->name;
  record.status = status;
  turn->Release();
  model_->admission->NoteTurn(record.total);
  CountTurn(*turn, record);
  if (observer_ != nullptr) observer_->OnRequestEnd(record);
  turn->Deliver(status, now);
}

void ModelRunner::DropSession(Session* session) {
  const auto belongs = [session](const Turn& turn) {
    return turn.session() == session ? SessionDeleted() : absl::OkStatus();
  };
  auto over = waiting_.TakeIf(belongs);
  for (auto& turn : running_) {
    if (absl::Status reason = belongs(*turn); !reason.ok()) {
      over.emplace_back(std::move(turn), std::move(reason));
    }
  }
  running_.erase(std::remove(running_.begin(), running_.end(), nullptr), running_.end());
  for (auto& [turn, reason] : over) EndTurn(std::move(turn), std::move(reason));
  session->slot.Release();
}

void ModelRunner::EndAll(const absl::Status& status) {
  auto over = waiting_.TakeIf([&](const Turn&) { return status; });
  for (auto& turn : running_) over.emplace_back(std::move(turn), status);
  running_.clear();
  for (auto& [turn, reason] : over) EndTurn(std::move(turn), std::move(reason));
}

// --- Starts ---

void ModelRunner::StartWaiting(TimePoint now) {
  if (waiting_.empty()) return;
  // Marks are given up for turns that wait.
  int available = model_->pool->free_slots();
  std::vector<Lane*> lanes;
  for (const auto& turn : running_) turn->AppendLanes(&lanes);
  for (const Lane* lane : lanes) available += lane->mark ? 1 : 0;

  size_t count = CountToStart(waiting_.SlotsNeeded(), available, static_cast<int>(running_.size()),
                              limits_.max_running);
  for (; count > 0; --count) {
    std::unique_ptr<Turn> turn = waiting_.TakeFirst();
    const int needed = turn->head().working_slots;
    for (auto lane = lanes.begin(); model_->pool->free_slots() < needed; ++lane) {
      (*lane)->mark.Release();
    }
    std::vector<Slot> slots;
    for (int i = 0; i < needed; ++i) slots.push_back(model_->pool->Acquire());
    turn->head().ticket.Started();
    turn->Start(std::move(slots), now);
    running_.push_back(std::move(turn));
  }
}

bool ModelRunner::Tidy() {
  const TimePoint now = clock_->Now();
  EndOverdue(now);
  StartWaiting(now);
  EndFinished();  // a turn may have had nothing to feed
  PublishStats();
  return std::any_of(running_.begin(), running_.end(),
                     [](const auto& turn) { return !turn->paused_since.has_value(); });
}

std::optional<TimePoint> ModelRunner::next_timer() const {
  std::optional<TimePoint> next;
  const auto consider = [&next](std::optional<TimePoint> time) {
    if (time.has_value() && (!next.has_value() || *time < *next)) next = time;
  };
  waiting_.ForEach([&](Turn& turn) { consider(turn.head().deadline); });
  for (const auto& turn : running_) {
    consider(turn->head().deadline);
    if (turn->paused_since.has_value()) {
      consider(*turn->paused_since + limits_.slow_reader_timeout);
    }
  }
  return next;
}

// --- Steps ---

std::vector<ModelRunner::Served> ModelRunner::PlanStep() {
  std::vector<Served> candidates;
  std::vector<LaneView> views;
  std::vector<Lane*> lanes;
  for (const auto& turn : running_) {
    if (turn->paused_since.has_value()) continue;
    lanes.clear();
    turn->AppendLanes(&lanes);
    for (Lane* lane : lanes) {
      if (lane->ready() == 0) continue;
      candidates.push_back({turn.get(), lane, 0, 0});
      views.push_back({static_cast<int64_t>(lane->ready()), lane->decoding, lane->last_step,
                       lane->order, /*tenant=*/0, /*limit=*/0});
    }
  }
  std::vector<Served> served;
  int rows = 0;
  for (const LaneShare& share : scheduler_.Plan(views)) {
    Served& part = served.emplace_back(candidates[share.lane]);
    part.count = static_cast<int>(share.tokens);
    part.first_row = rows;
    rows += part.count;
  }
  return served;
}

void ModelRunner::AddSegment(const Served& served, Batch* batch) {
  Lane& lane = *served.lane;
  if (std::exchange(lane.mark_next, false)) {
    if (Slot spare = model_->pool->Acquire(); spare) {
      lane.mark = std::exchange(lane.slot, std::move(spare));  // which is the lane's source still
      lane.mark_position = lane.position;
    }
  }
  const auto tokens = lane.feed.subspan(lane.fed, static_cast<size_t>(served.count));
  batch->token_ids.insert(batch->token_ids.end(), tokens.begin(), tokens.end());
  batch->segments.push_back(
      {served.first_row, served.count, lane.source, lane.slot.index(), lane.position});
}

void ModelRunner::RunModel(absl::Span<const Served> served, Batch* batch) {
  std::vector<RowJob> jobs;
  for (const Served& part : served) {
    const size_t first = jobs.size();
    part.turn->WantRows(part.lane, part.count, &jobs);
    for (size_t i = first; i < jobs.size(); ++i) {
      jobs[i].row += part.first_row;
      batch->logit_rows.push_back(jobs[i].row);
    }
  }
  model_->model->Forward(*batch, *model_->pool);
  RunLogitsPass(model_->model.get(), device_, absl::MakeSpan(jobs));
}

void ModelRunner::Step() {
  const TimePoint begin = clock_->Now();
  std::vector<Served> served = PlanStep();
  if (served.empty()) return;
  Batch batch;
  StepRecord record;
  record.model = model_->name;
  bool decodes = false;
  bool prefills = false;
  for (const Served& part : served) {
    part.turn->NoteFirstStep(begin);
    (part.lane->decoding ? decodes : prefills) = true;
    AddSegment(part, &batch);
  }
  record.phase = !prefills ? StepPhase::kDecode : decodes ? StepPhase::kMixed : StepPhase::kPrefill;
  record.tokens = batch.rows();
  record.segments = static_cast<int64_t>(served.size());
  RunModel(served, &batch);
  ++steps_;

  const TimePoint end = clock_->Now();
  record.duration = end - begin;
  if (observer_ != nullptr) observer_->OnStep(record);
  for (const Served& part : served) {
    Lane& lane = *part.lane;
    lane.source = lane.slot.index();
    lane.position += part.count;
    lane.fed += static_cast<size_t>(part.count);
    lane.last_step = steps_;
    part.turn->Advance(&lane, end, observer_);
  }
  EndFinished();
  PublishStats();
}

// --- Figures ---

void ModelRunner::CountTurn(const Turn& turn, const RequestRecord& record) {
  MutexLock lock(&stats_mutex_);
  stats_.steps = steps_;
  stats_.running = static_cast<int>(running_.size());
  stats_.slots_free = model_->pool->free_slots();
  stats_.slots_used = model_->pool->slots() - stats_.slots_free;
  stats_.prompt_tokens += record.usage.prompt_tokens;
  stats_.generated_tokens += record.usage.generated_tokens;
  stats_.reused_tokens += record.usage.reused_tokens;
  stats_.recomputed_tokens += record.usage.recomputed_tokens;
  if (record.status.ok()) return;
  if (stats_.early_ends.size() == kEarlyEndsKept)
    stats_.early_ends.erase(stats_.early_ends.begin());
  // Whatever ends a turn early is noticed between two steps, and its slots are free before the
  // next.
  stats_.early_ends.push_back(
      {turn.head().request_id, EarlyEndReason(record.status), steps_, steps_});
}

void ModelRunner::PublishStats() {
  const auto paused = std::count_if(running_.begin(), running_.end(), [](const auto& turn) {
    return turn->paused_since.has_value();
  });
  MutexLock lock(&stats_mutex_);
  stats_.steps = steps_;
  stats_.running = static_cast<int>(running_.size());
  stats_.paused = static_cast<int>(paused);
  stats_.slots_free = model_->pool->free_slots();
  stats_.slots_used = model_->pool->slots() - stats_.slots_free;
}

ModelStats ModelRunner::stats() const {
  MutexLock lock(&stats_mutex_);
  return stats_;
}

}  // namespace ssmd
