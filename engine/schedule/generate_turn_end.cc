// How a generation ends: settling the state, committing it, and telling the caller.
#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/schedule/generate_turn.h"
#include "engine/schedule/numerical_error.h"

namespace ssmd {

// Brings the state to where the history says it is: by going back to the mark, or by feeding the
// turn's tokens again from its base.
void GenerateTurn::SettleState(Choice* choice) {
  Lane& lane = choice->lane;
  const int64_t turn_start = base_.consumed();
  const int64_t target =
      turn_start +
      static_cast<int64_t>(tokens_.size() + choice->kept() + choice->retokenised().size()) -
      choice->pending();
  if (target == lane.position) {
    lane.mark.Release();
    choice->settled = true;
    return;
  }
  if (lane.mark) {  // never of a later position: a stop string begins no earlier than suspected
    lane.slot = std::move(lane.mark);
    lane.source = lane.slot.index();
    lane.position = lane.mark_position;
  } else {
    lane.mark.Release();
    lane.position = turn_start;
    if (base_.resident) {
      lane.source = lease_.session()->slot.index();
    } else {
      lane.slot.Release();  // zeroed; this thread is the only one to take it again
      lane.slot = model_->pool->Acquire();
      lane.source = lane.slot.index();
    }
  }
  std::vector<int32_t> turn_tokens = tokens_;
  turn_tokens.insert(turn_tokens.end(), choice->sampled().begin(), choice->sampled().end());
  choice->replay.assign(turn_tokens.begin() + (lane.position - turn_start),
                        turn_tokens.begin() + (target - turn_start));
  choice->recomputed += static_cast<int64_t>(choice->replay.size());
  lane.Feed(choice->replay, false);
  choice->settled = choice->replay.empty();
}

ChoiceFinishedEvent GenerateTurn::FinishedEvent(const Choice& choice) const {
  ChoiceFinishedEvent event;
  event.choice = choice.index();
  event.reason = choice.reason();
  event.stop_reason = choice.stop_reason();
  event.history_token_ids = choice.HistoryTokens();
  event.usage = PromptUsage();
  event.usage.recomputed_tokens = choice.recomputed;
  event.usage.generated_tokens = choice.generated();
  return event;
}

std::optional<absl::Status> GenerateTurn::outcome() const {
  if (not_finite_) return NumericalError();
  const bool settled = std::all_of(choices_.begin(), choices_.end(),
                                   [](const auto& choice) { return choice->settled; });
  if (settled) return absl::OkStatus();
  return std::nullopt;
}

SessionCommit GenerateTurn::MakeCommit(Choice* choice) {
  SessionCommit commit;
  for (size_t i = base_.pending.size(); i < tokens_.size(); ++i) {
    commit.appended.emplace_back(tokens_[i], false);
  }
  for (const int32_t id : choice->HistoryTokens()) commit.appended.emplace_back(id, true);
  commit.pending_tokens = choice->pending();
  commit.text_remainder = choice->text().remainder();
  if (choice->lane.position > 0) commit.slot = std::move(choice->lane.slot);
  return commit;
}

absl::Status GenerateTurn::Commit() {
  if (!has_session()) return absl::OkStatus();
  std::vector<SessionCommit> commits;
  std::vector<SessionInfo> results(1);
  int residents = 0;
  for (const auto& choice : choices_) {
    commits.push_back(MakeCommit(choice.get()));
    if (commits.back().slot) ++residents;
  }
  if (makes_children()) {
    SSMD_ASSIGN_OR_RETURN(results,
                          sessions_->CommitChildren(&lease_, &reservation_, std::move(commits)));
  } else {
    results[0].session_id = head().session_id;
    SSMD_ASSIGN_OR_RETURN(results[0].revision,
                          sessions_->Commit(&lease_, std::move(commits.front())));
    if (base_.resident) residents = 0;
  }
  head().ticket.BecameResident(residents);
  for (size_t i = 0; i < choices_.size(); ++i) {
    ChoiceFinishedEvent event = FinishedEvent(*choices_[i]);
    event.session_id = results[i].session_id;
    event.revision = results[i].revision;
    closing_events_.emplace_back(std::move(event));
  }
  return absl::OkStatus();
}

Usage GenerateTurn::PromptUsage() const {
  Usage usage;
  usage.reused_tokens = base_.consumed();
  usage.computed_tokens = static_cast<int64_t>(tokens_.size());
  usage.prompt_tokens = usage.reused_tokens + usage.computed_tokens;
  return usage;
}

void GenerateTurn::ReleaseHeld() {
  for (const auto& choice : choices_) {
    choice->lane.slot.Release();
    choice->lane.mark.Release();
  }
  lease_.Release();
  reservation_.Release();
}

void GenerateTurn::Deliver(const absl::Status& status, TimePoint now) {
  if (status.ok()) {
    for (GenerateEvent& event : closing_events_) stream_->Push(std::move(event));
    const RequestRecord record = Record(now);
    FinalEvent final_event;
    final_event.usage = record.usage;
    final_event.timings.queue = record.queue;
    if (first_token_.has_value()) {
      final_event.timings.first_token = *first_token_ - head().submitted;
    }
    final_event.timings.total = record.total;
    stream_->Push(std::move(final_event));
  }
  stream_->Finish(status);
}

RequestRecord GenerateTurn::Record(TimePoint now) const {
  RequestRecord record;
  record.state_source = base_.resident ? StateSource::kResident : StateSource::kFresh;
  if (prompt_done_) {
    record.usage = PromptUsage();
  } else if (first_step().has_value()) {  // cut short
    record.usage.reused_tokens = base_.consumed();
    record.usage.computed_tokens = static_cast<int64_t>(choices_[0]->lane.fed);
    record.usage.prompt_tokens = record.usage.reused_tokens + record.usage.computed_tokens;
  }
  for (const auto& choice : choices_) {
    record.usage.recomputed_tokens += choice->recomputed;
    record.usage.generated_tokens += choice->generated();
  }
  const TimePoint started = first_step().value_or(now);
  const TimePoint spoke = first_token_.value_or(now);
  record.queue = started - head().submitted;
  record.prefill = spoke - started;
  record.decode = now - spoke;
  record.total = now - head().submitted;
  record.pauses = pauses;
  return record;
}

}  // namespace ssmd
