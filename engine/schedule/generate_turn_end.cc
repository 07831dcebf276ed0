// How a generation ends: settling the state, committing it, and telling the caller.
#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/schedule/generate_turn.h"
#include "engine/schedule/numerical_error.h"

namespace ssmd {

// Brings the state to where the history says it is: by going back to the mark, or by feeding the
// turn's tokens again from what it went on from.
void GenerateTurn::SettleState(Choice* choice) {
  Lane& lane = choice->lane;
  const int64_t turn_start = base_.state_position();
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
    lane.position = lane.mark_position;
    lane.OwnSource();
  } else if (start_ != nullptr) {
    lane.StartFrom(start_, model_->tiers.get());
  } else {
    lane.slot.Release();  // zeroed; this thread is the only one to take it again
    lane.slot = model_->pool->Acquire();
    lane.position = 0;
    lane.OwnSource();
  }
  std::vector<int32_t> turn_tokens = tokens_;
  turn_tokens.insert(turn_tokens.end(), choice->sampled().begin(), choice->sampled().end());
  choice->replay.assign(turn_tokens.begin() + (lane.position - turn_start),
                        turn_tokens.begin() + (target - turn_start));
  choice->recomputed += static_cast<int64_t>(choice->replay.size());
  lane.Feed(choice->replay, false);
  if (!choice->replay.empty()) return;
  if (lane.source_pin) model_->tiers->CopyInto(start_, lane.slot);
  lane.OwnSource();
  choice->settled = true;
}

ChoiceFinishedEvent GenerateTurn::FinishedEvent(const Choice& choice) const {
  ChoiceFinishedEvent event;
  event.choice = choice.index();
  event.reason = choice.reason();
  event.stop_reason = choice.stop_reason();
  event.history_token_ids = choice.HistoryTokens();
  event.usage = PromptUsage();
  event.usage.recomputed_tokens += choice.recomputed;
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

// The answer up to what the transport has accepted, where the caller asked for that; it gets no
// more of it. The state is the present one if that is just what it has consumed; otherwise the
// session keeps the one it had, and its next turn reads again what is missing.
bool GenerateTurn::Salvage() {
  if (commit_mode_ != CommitMode::kPartial || !on_session_ || !prompt_done_ || not_finite_) {
    return false;
  }
  Choice& choice = *choices_[0];
  stream_->Cut();
  const auto accepted = static_cast<size_t>(stream_->accepted_tokens());
  if (accepted == 0) return false;
  // Of one that had ended at a stop string, history has nothing of that.
  if (!choice.ended() || accepted <= choice.kept()) choice.CutTo(accepted, prompt_text_);
  choice.lane.mark.Release();
  choice.settled = true;
  salvaged_ = true;
  return true;
}

SessionCommit GenerateTurn::MakeCommit(Choice* choice) {
  SessionCommit commit;
  for (size_t i = base_.unread.size(); i < tokens_.size(); ++i) {
    commit.appended.emplace_back(tokens_[i], false);
  }
  for (const int32_t id : choice->HistoryTokens()) commit.appended.emplace_back(id, true);
  commit.pending_tokens = choice->pending();
  commit.text_remainder = choice->text_remainder();
  Lane& lane = choice->lane;
  const int64_t consumed =
      base_.position + static_cast<int64_t>(commit.appended.size()) - commit.pending_tokens;
  if (consumed == 0) return commit;
  if (lane.position != consumed) {
    commit.state = start_;
  } else if (lane.parked != nullptr) {
    commit.state = std::move(lane.parked);
  } else {
    commit.state = model_->tiers->Adopt(std::move(lane.slot), lane.position);
  }
  return commit;
}

std::optional<TurnResult> GenerateTurn::MakeResult() const {
  if (key_.request_id.empty()) return std::nullopt;
  TurnResult result;
  result.key = key_;
  result.base_revision = base_.revision;
  result.state_source = source_;
  result.seed = *sampling_.seed;
  result.usage = Record(TimePoint()).usage;
  for (const auto& choice : choices_) {
    ChoiceResult& entry = result.choices.emplace_back();
    entry.reason = choice->reason();
    entry.stop_reason = choice->stop_reason();
    entry.text = choice->sent_text();
    entry.token_ids.assign(choice->sent_ids().begin(), choice->sent_ids().end());
    entry.history_token_ids = choice->HistoryTokens();
    entry.usage = FinishedEvent(*choice).usage;
  }
  return result;
}

absl::StatusOr<std::optional<Proposal>> GenerateTurn::Propose() {
  if (!on_session_) return std::nullopt;
  if (!commits_.has_value()) {
    commits_.emplace();
    for (const auto& choice : choices_) commits_->push_back(MakeCommit(choice.get()));
  }
  std::optional<TurnResult> result = MakeResult();
  if (makes_children()) {
    SSMD_ASSIGN_OR_RETURN(Proposal proposal,
                          sessions_->ProposeChildren(&lease_, &reservation_, &*commits_, &result));
    return std::optional<Proposal>(std::move(proposal));
  }
  SSMD_ASSIGN_OR_RETURN(Proposal proposal,
                        sessions_->ProposeCommit(&lease_, &commits_->front(), &result));
  return std::optional<Proposal>(std::move(proposal));
}

void GenerateTurn::Committed(const std::vector<SessionInfo>& sessions) {
  if (salvaged_) return;  // its stream ends with the reason
  for (size_t i = 0; i < choices_.size() && i < sessions.size(); ++i) {
    ChoiceFinishedEvent event = FinishedEvent(*choices_[i]);
    event.session_id = sessions[i].session_id;
    event.revision = sessions[i].revision;
    closing_events_.emplace_back(std::move(event));
  }
}

Usage GenerateTurn::PromptUsage() const {
  Usage usage;
  // On an empty history what is reused is the beginning of some earlier prompt.
  usage.reused_tokens = base_.consumed();
  if (base_.position == 0) usage.reused_tokens = start_position_;
  const auto prompt = static_cast<int64_t>(tokens_.size() - base_.unread.size());
  usage.prompt_tokens = base_.position + prompt;
  usage.computed_tokens = usage.prompt_tokens - usage.reused_tokens;
  usage.recomputed_tokens = lost_tokens_;
  return usage;
}

void GenerateTurn::ReleaseHeld() {
  for (const auto& choice : choices_) {
    choice->lane.source_pin.Release();
    choice->lane.slot.Release();
    choice->lane.mark.Release();
    choice->lane.parked = nullptr;
  }
  EndWaits();
  start_pin_.Release();
  start_ = nullptr;
  base_.state = nullptr;
  waiting_for_ = nullptr;
  commits_.reset();
  lease_.Release();
  reservation_.Release();
}

void GenerateTurn::Deliver(const absl::Status& status, TimePoint now) {
  if (status.ok()) {
    for (GenerateEvent& event : closing_events_) stream_->Push(std::move(event));
    const RequestRecord record = Record(now);
    FinalEvent final_event;
    final_event.usage = record.usage;
    final_event.state_source = record.state_source;
    final_event.miss = record.miss;
    final_event.timings.queue = record.queue;
    final_event.timings.load = record.load;
    final_event.timings.first_token = record.first_token.value_or(Duration::zero());
    final_event.timings.total = record.total;
    stream_->Push(final_event);
  }
  stream_->Finish(status);
}

RequestRecord GenerateTurn::Record(TimePoint now) const {
  RequestRecord record;
  record.state_source = source_;
  record.prefix_queried = prefix_queried_;
  record.miss = miss_;
  if (prompt_done_) {
    record.usage = PromptUsage();
  } else if (times().has_started()) {  // cut short
    const Lane& lane = choices_[0]->lane;
    const int64_t fed = lane.position - start_position_;
    record.usage = PromptUsage();
    record.usage.recomputed_tokens = std::min(record.usage.recomputed_tokens, fed);
    record.usage.computed_tokens =
        std::min(record.usage.computed_tokens, fed - record.usage.recomputed_tokens);
    record.usage.prompt_tokens = record.usage.reused_tokens + record.usage.computed_tokens;
  }
  for (const auto& choice : choices_) {
    record.usage.recomputed_tokens += choice->recomputed;
    record.usage.generated_tokens += choice->generated();
  }
  times().Fill(now, &record);
  return record;
}

// --- Retries ---

bool GenerateTurn::IsOf(const SessionKey& session) const {
  return on_session_ && head().session_id == session.id && head().tenant == session.tenant;
}

bool GenerateTurn::IsRequest(const SessionKey& session, const std::string& request_id) const {
  return !request_id.empty() && key_.request_id == request_id && IsOf(session);
}

// The new reader gets what the old one got, in one Delta a choice, and what follows.
void GenerateTurn::TakeOver(const std::shared_ptr<OutputStream>& stream) {
  stream_->Finish(WithReason(absl::AbortedError("a retry of the request took the stream over"),
                             reason::kTakenOver));
  stream_ = stream;
  if (!started_) return;  // it will say so when it does
  PushStarted();
  for (const auto& choice : choices_) {
    if (choice->sent_ids().empty() && choice->sent_text().empty()) continue;
    DeltaEvent delta;
    delta.choice = choice->index();
    delta.text = choice->sent_text();
    delta.token_ids.assign(choice->sent_ids().begin(), choice->sent_ids().end());
    stream_->Push(std::move(delta));
  }
}

}  // namespace ssmd
