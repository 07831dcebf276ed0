// ModelRunner: who starts, and with which slots.
#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/schedule/model_runner.h"

namespace ssmd {
namespace {

// Turns whose states are brought near while they wait; further ones wait with theirs where they
// are.
constexpr size_t kPreparedTurns = 4;

int64_t CommonTokens(absl::Span<const int32_t> a, absl::Span<const int32_t> b) {
  const size_t limit = std::min(a.size(), b.size());
  return std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(limit), b.begin()).first -
         a.begin();
}

}  // namespace

std::vector<size_t> ModelRunner::StartOrder(TimePoint now) {
  std::vector<WaitingTurn> views;
  views.reserve(waiting_.turns().size());
  for (const auto& turn : waiting_.turns()) {
    const TurnHead& head = turn->head();
    WaitingTurn& view = views.emplace_back();
    view.priority = static_cast<int>(head.priority);
    view.tenant = head.tenant;
    view.submitted = head.submitted.time_since_epoch();
    view.sequence = head.sequence;
    view.tokens = head.prompt_tokens;
  }
  std::vector<absl::string_view> running;
  running.reserve(running_.size());
  for (const auto& turn : running_) running.emplace_back(turn->head().tenant);
  return start_policy_.Order(views, running, now.time_since_epoch());
}

std::shared_ptr<PrefixWait> ModelRunner::Find(const std::string& tenant,
                                              absl::Span<const int32_t> prompt, int64_t held) {
  PrefixSource* best = nullptr;
  int64_t best_tokens = held;
  for (const auto& turn : running_) {
    PrefixSource* source = turn->prefix_source();
    if (source == nullptr || source->tenant() != tenant) continue;
    const int64_t common =
        std::min({CommonTokens(source->prompt(), prompt), static_cast<int64_t>(prompt.size()) - 1,
                  static_cast<int64_t>(source->prompt().size()) - 1});
    if (common <= best_tokens || common <= source->read()) continue;
    best = source;
    best_tokens = common;
  }
  return best == nullptr ? nullptr : best->WaitFor(best_tokens);
}

bool ModelRunner::GiveUpMark() {
  std::vector<Lane*> lanes;
  for (const auto& turn : running_) turn->AppendLanes(&lanes);
  const auto marked =
      std::find_if(lanes.begin(), lanes.end(), [](const Lane* lane) { return bool{lane->mark}; });
  if (marked == lanes.end()) return false;
  (*marked)->mark.Release();
  return true;
}

// All or none: nobody who holds a slot waits for one.
bool ModelRunner::TakeSlots(size_t count, std::vector<Slot>* slots) {
  while (slots->size() < count) {
    Slot slot = model_->tiers->TakeSlot();
    if (!slot && GiveUpMark()) continue;
    if (!slot) {
      slots->clear();
      return false;
    }
    slots->push_back(std::move(slot));
  }
  return true;
}

// Turns whose readers read again get slots before those that wait.
void ModelRunner::Resume() {
  for (const auto& turn : running_) {
    if (turn->times().paused_since().has_value()) continue;
    std::vector<Lane*> parked;
    turn->AppendLanes(&parked);
    parked.erase(std::remove_if(parked.begin(), parked.end(),
                                [](const Lane* lane) { return lane->parked == nullptr; }),
                 parked.end());
    Unpark(parked);
  }
}

// All of them or none.
void ModelRunner::Unpark(const std::vector<Lane*>& lanes) {
  std::vector<Slot> slots;
  for (Lane* lane : lanes) {
    Slot slot = model_->tiers->Reclaim(&lane->parked);
    while (!slot && GiveUpMark()) slot = model_->tiers->Reclaim(&lane->parked);
    if (!slot) break;
    slots.push_back(std::move(slot));
  }
  const bool all = slots.size() == lanes.size();
  for (size_t i = 0; i < slots.size(); ++i) {
    if (all) {
      lanes[i]->slot = std::move(slots[i]);
      lanes[i]->OwnSource();
    } else {
      lanes[i]->parked = model_->tiers->Adopt(std::move(slots[i]), lanes[i]->position);
    }
  }
}

void ModelRunner::StartWaiting(TimePoint now) {
  if (waiting_.empty()) return;
  std::vector<EndedTurn> over;
  std::vector<const Turn*> kept_waiting;  // by states or slots
  bool slots_left = true;
  for (const size_t place : StartOrder(now)) {
    if (static_cast<int>(running_.size()) >= limits_.max_running) break;
    if (kept_waiting.size() >= kPreparedTurns) break;
    Turn* turn = waiting_.turns()[place].get();
    const absl::StatusOr<Turn::Readiness> ready = turn->Prepare(now, this);
    if (!ready.ok()) {
      over.emplace_back(waiting_.Take(place), ready.status());
      continue;
    }
    if (*ready == Turn::Readiness::kWaitsForTurn) continue;
    std::vector<Slot> slots;
    // Strictly in order: one that needs many slots is not overtaken for ever by those that need
    // few.
    slots_left = slots_left && (*ready != Turn::Readiness::kReady ||
                                TakeSlots(static_cast<size_t>(turn->head().working_slots), &slots));
    if (slots.empty()) {
      kept_waiting.push_back(turn);
      continue;
    }
    turn->head().ticket.Started();
    turn->Start(std::move(slots), now);
    running_.push_back(waiting_.Take(place));
  }
  waiting_.Compact();
  for (auto& [turn, status] : over) FinishTurn(std::move(turn), status);
  const bool nothing_runs = running_.empty() && committing_.empty() && over.empty();
  if (kept_waiting.empty() || !nothing_runs || model_->tiers->moving()) return;
  if (LetGo(kept_waiting)) {
    StartWaiting(now);
  } else {
    EndStuck();
  }
}

// Of what waits in vain for its start, all but `first` give up what they have been prepared with,
// and can be prepared again. False when they had nothing.
bool ModelRunner::LetGo(const std::vector<const Turn*>& first) {
  bool any = false;
  for (const auto& turn : waiting_.turns()) {
    if (std::find(first.begin(), first.end(), turn.get()) != first.end()) continue;
    any = turn->LetGo() || any;
  }
  return any;
}

// Nothing moves, and nothing will: what holds the slots cannot be moved out of the way.
void ModelRunner::EndStuck() {
  auto over = waiting_.TakeIf([&](const Turn&) {
    return WithReason(
        absl::ResourceExhaustedError(absl::StrFormat(
            "the states of model %s fill every tier, and none can be moved or stored: delete "
            "sessions, or raise --host-state-bytes or --state-slots",
            model_->name)),
        reason::kSlotsHeld);
  });
  for (auto& [turn, status] : over) FinishTurn(std::move(turn), status);
}

bool ModelRunner::Tidy() {
  const TimePoint now = context_.clock->Now();
  model_->tiers->Tend();
  PollCommits();
  if (DeviceFailed()) {
    PublishStats();
    return false;
  }
  EndOverdue(now);
  Resume();
  StartWaiting(now);
  EndFinished();  // a turn may have had nothing to feed
  PublishStats();
  return std::any_of(running_.begin(), running_.end(), [](const auto& turn) {
    if (turn->times().paused_since().has_value()) return false;
    std::vector<Lane*> lanes;
    turn->AppendLanes(&lanes);
    return std::any_of(lanes.begin(), lanes.end(),
                       [](const Lane* lane) { return lane->slot && lane->ready() > 0; });
  });
}

std::optional<TimePoint> ModelRunner::next_timer() const {
  std::optional<TimePoint> next;
  const auto consider = [&next](std::optional<TimePoint> time) {
    if (time.has_value() && (!next.has_value() || *time < *next)) next = time;
  };
  for (const auto& turn : waiting_.turns()) consider(turn->head().deadline);
  for (const auto& turn : running_) {
    consider(turn->head().deadline);
    if (const auto since = turn->times().paused_since()) {
      consider(*since + limits_.slow_reader_timeout);
    }
  }
  return next;
}

}  // namespace ssmd
