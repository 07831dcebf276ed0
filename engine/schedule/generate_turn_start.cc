// What a generation goes on from, and what it leaves for other prompts to go on from.
#include <algorithm>
#include <utility>

#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "engine/schedule/generate_turn.h"

namespace ssmd {
namespace {

int RecentTokensWanted(const PenaltyParams& penalties) {
  return penalties.looks_back() ? std::clamp(penalties.window, 0, kPenaltyWindowMax) : 0;
}

absl::Status NothingToReadFrom(int64_t position) {
  return InvalidField(
      position == 0
          ? "the prompt must not be empty: there is no history to go on from"
          : "the prompt must not be empty: the last turn ended at a stop, so that no token is "
            "pending to go on from");
}

}  // namespace

// --- The base ---

absl::Status GenerateTurn::CheckAtOnce() {
  if (lease_ && !lease_.AtFront()) return absl::OkStatus();
  return TakeBase();
}

absl::StatusOr<Turn::Readiness> GenerateTurn::Prepare(TimePoint now, PrefixesInFlight* in_flight) {
  if (!has_base_) {
    if (lease_ && !lease_.AtFront()) return Readiness::kWaitsForTurn;
    SSMD_RETURN_IF_ERROR(TakeBase());
  }
  if (base_.state != nullptr) return BringBase(now);
  if (base_.position == 0 && keeps_prefixes() && !FindPrefix(in_flight)) {
    return Readiness::kWaitsForTurn;
  }
  return Readiness::kReady;
}

absl::Status GenerateTurn::TakeBase() {
  if (lease_) {
    SSMD_ASSIGN_OR_RETURN(
        base_, lease_.Begin(expected_revision_, RecentTokensWanted(sampling_.penalties)));
  }
  if (model_->memory != nullptr) SSMD_RETURN_IF_ERROR(CheckWholeFrames(*model_, base_.position));
  SSMD_RETURN_IF_ERROR(prompt_.CheckAfter(base_.position));
  const std::vector<int32_t>& prompt = prompt_.after(base_.position);
  if (prompt.empty() && base_.pending_tokens == 0) return NothingToReadFrom(base_.position);
  SSMD_RETURN_IF_ERROR(CheckHistoryLength(base_.position, static_cast<int64_t>(prompt.size()),
                                          stops_.max_tokens, model_->max_history_tokens));
  has_base_ = true;
  tokens_.clear();
  for (const LoggedToken token : base_.unread) tokens_.push_back(token.token_id());
  echoed_ = tokens_.size();
  tokens_.insert(tokens_.end(), prompt.begin(), prompt.end());
  // Text goes on from what the history ends with, which may be part of a character.
  prompt_text_ = Detokenizer();
  prompt_text_.Push(base_.text_remainder);
  if (!echo_ && model_->tokenizer != nullptr) {
    for (const int32_t id : prompt) prompt_text_.Push(ShownBytes(*model_->tokenizer, id));
  }
  if (sampling_.penalties.looks_back()) {
    recent_ = base_.recent;
    for (const int32_t id : prompt) recent_.emplace_back(id, false);
  }
  lost_tokens_ = base_.lost_tokens();
  source_ = lost_tokens_ > 0 ? StateSource::kReplayed : StateSource::kFresh;
  return absl::OkStatus();
}

absl::StatusOr<Turn::Readiness> GenerateTurn::BringBase(TimePoint now) {
  if (start_ != nullptr) return Readiness::kReady;
  switch (model_->tiers->Prepare(base_.state)) {
    case StateTiers::Readiness::kLoading:
      times().BeginLoad(now);
      return Readiness::kWaitsForState;
    case StateTiers::Readiness::kLost: {
      // The next best is an older state, or the history from its beginning.
      const StateRef lost = std::move(base_.state);
      SSMD_RETURN_IF_ERROR(TakeBase());
      if (base_.state == lost) return absl::DataLossError("the session's state is lost");
      if (base_.state != nullptr) return BringBase(now);
      times().EndLoad(now);
      return Readiness::kReady;
    }
    case StateTiers::Readiness::kReady:
      break;
  }
  times().EndLoad(now);
  if (source_ != StateSource::kReplayed) {
    source_ = base_.state->TakeRemote()                 ? StateSource::kRemote
              : times().has_loaded()                    ? StateSource::kDisk
              : model_->tiers->SlotOf(base_.state) >= 0 ? StateSource::kResident
                                                        : StateSource::kHost;
  }
  GoOnFrom(base_.state);
  return Readiness::kReady;
}

void GenerateTurn::GoOnFrom(StateRef state) {
  start_ = std::move(state);
  start_position_ = start_->position;
  start_pin_ = model_->tiers->Pin(start_, StatePin::Strength::kMemory);
}

bool GenerateTurn::LetGo() {
  if (start_ == nullptr && waiting_for_ == nullptr) return false;
  start_pin_.Release();
  start_ = nullptr;
  start_position_ = 0;
  waiting_for_ = nullptr;
  if (base_.position == 0) {  // it was an equal beginning, which is looked for again
    source_ = StateSource::kFresh;
    prefix_queried_ = false;
  }
  return true;
}

// --- States of equal beginnings ---

bool GenerateTurn::keeps_prefixes() const {
  // The log-probabilities of a prompt come from reading all of it.
  return model_->prefixes != nullptr && !(echo_ && top_logprobs_.has_value());
}

bool GenerateTurn::FindPrefix(PrefixesInFlight* in_flight) {
  if (!prefix_queried_) {
    prefix_queried_ = true;
    const PrefixHit hit = model_->prefixes->Lookup(head().tenant, tokens_);
    miss_ = hit.miss;
    if (hit.state != nullptr &&
        model_->tiers->Prepare(hit.state) == StateTiers::Readiness::kReady) {
      GoOnFrom(hit.state);
      source_ = StateSource::kPrefix;
    }
    waiting_for_ =
        in_flight->Find(head().tenant, tokens_, start_ == nullptr ? 0 : start_->position);
  }
  if (waiting_for_ == nullptr) return true;
  if (!waiting_for_->over) return false;
  const StateRef state = std::exchange(waiting_for_, nullptr)->state;
  if (state != nullptr && model_->tiers->Prepare(state) == StateTiers::Readiness::kReady) {
    GoOnFrom(state);
    source_ = StateSource::kPrefix;
    miss_ = PrefixMiss::kNone;
  }
  return true;
}

PrefixSource* GenerateTurn::prefix_source() {
  const bool reading = has_base_ && base_.position == 0 && keeps_prefixes() && !prompt_done_ &&
                       !times().paused_since().has_value() && choices_[0]->lane.slot;
  return reading ? this : nullptr;
}

std::shared_ptr<PrefixWait> GenerateTurn::WaitFor(int64_t position) {
  auto wait = std::make_shared<PrefixWait>();
  wait->position = position;
  waits_.push_back(wait);
  const auto place = std::lower_bound(wanted_.begin(), wanted_.end(), position, std::greater<>());
  if (place == wanted_.end() || *place != position) wanted_.insert(place, position);
  LimitFeed();
  return wait;
}

// The prompt is fed up to where a state is wanted, and no further in one step.
void GenerateTurn::LimitFeed() {
  Lane& lane = choices_[0]->lane;
  const int64_t begin = lane.position - static_cast<int64_t>(lane.fed);
  lane.feed_limit = wanted_.empty() ? 0 : static_cast<size_t>(wanted_.back() - begin);
}

void GenerateTurn::KeepPrefixes() {
  Lane& lane = choices_[0]->lane;
  if (wanted_.empty() || wanted_.back() != lane.position) return;
  wanted_.pop_back();
  if (StateRef state = HoldPresent(&lane); state != nullptr) {
    model_->prefixes->Insert(head().tenant,
                             absl::MakeConstSpan(tokens_).first(static_cast<size_t>(lane.position)),
                             state);
    for (const auto& wait : waits_) {
      if (wait->position == lane.position) wait->state = state;
    }
  }
  for (const auto& wait : waits_) wait->over = wait->over || wait->position == lane.position;
  LimitFeed();
}

// By leaving it the slot, where there is another one; else by a copy. Null when there is no room.
StateRef GenerateTurn::HoldPresent(Lane* lane) {
  Slot next = model_->pool->Acquire();
  if (!next) return model_->tiers->CopyToHost(lane->slot, lane->position);
  StateRef state = model_->tiers->Adopt(std::exchange(lane->slot, std::move(next)), lane->position);
  if (lane->ready() == 0) {  // no token that is still to be fed brings it into the new slot
    model_->tiers->CopyInto(state, lane->slot);
    lane->OwnSource();
    return state;
  }
  lane->source = model_->tiers->SlotOf(state);
  lane->source_pin = model_->tiers->Pin(state, StatePin::Strength::kSlot);
  return state;
}

// What an anonymous answer leaves, for a prompt that goes on from it.
void GenerateTurn::KeepAnswer(Choice* choice) {
  Lane& lane = choice->lane;
  if (!keeps_prefixes() || lane.position == 0 || lane.source != lane.slot.index()) return;
  std::vector<int32_t> consumed = tokens_;
  consumed.insert(consumed.end(), choice->sampled().begin(), choice->sampled().end());
  consumed.resize(static_cast<size_t>(lane.position));
  model_->prefixes->Insert(head().tenant, consumed,
                           model_->tiers->Adopt(std::move(lane.slot), lane.position));
}

void GenerateTurn::EndWaits() {
  for (const auto& wait : waits_) wait->over = true;
  waits_.clear();
}

// --- The start ---

void GenerateTurn::PushStarted() {
  StartedEvent started;
  started.request_id = head().request_id;
  started.model = model_->name;
  started.session_id = head().session_id;
  started.base_revision = base_.revision;
  started.state_source = source_;
  started.seed = *sampling_.seed;
  started.numerics_profile = model_->identity.numerics_profile;
  stream_->Push(std::move(started));
}

void GenerateTurn::Start(std::vector<Slot> slots, TimePoint now) {
  for (size_t i = 0; i < choices_.size(); ++i) {
    Lane& lane = choices_[i]->lane;
    lane.slot = std::move(slots[i]);
    lane.OwnSource();
    lane.order = LaneOrder(head().sequence, static_cast<int>(i));
  }
  started_ = true;
  PushStarted();

  Lane& lane = choices_[0]->lane;
  lane.Feed(absl::MakeConstSpan(tokens_).first(tokens_.size() - left_pending()), false);
  if (start_ != nullptr) {
    lane.StartFrom(start_, model_->tiers.get());
    lane.fed = static_cast<size_t>(start_->position - base_.state_position());
  }
  if (base_.position == 0 && keeps_prefixes()) {
    wanted_ = model_->prefixes->WantedPositions(head().tenant, lane.feed, lane.position);
    std::reverse(wanted_.begin(), wanted_.end());
    LimitFeed();
  }
  if (lane.ready() == 0) {
    if (lane.source_pin) model_->tiers->CopyInto(start_, lane.slot);
    lane.OwnSource();
    AdvancePrompt(now, nullptr);
  }
}

}  // namespace ssmd
