#include "clients/bench/load.h"

#include <algorithm>
#include <utility>

namespace ssmd::bench {
namespace {

// A server that is overrun by more has lost; memory is not to go the same way.
constexpr size_t kWaitingMax = size_t{1} << 16;

}  // namespace

// A conversation that is going on.
struct Load::Talk {
  std::unique_ptr<Dialogue> dialogue;
  PlannedConversation plan;
  size_t turn = 0;
  TimePoint due;
  bool thinking = false;
  bool closed = false;
};

Load::Load(Timeline* timeline, Endpoint* endpoint, const Workload* workload,
           const LoadOptions& options, std::function<void()> done)
    : timeline_(timeline),
      endpoint_(endpoint),
      workload_(workload),
      options_(options),
      done_(std::move(done)),
      next_conversation_(options.first_conversation) {}

Load::~Load() = default;

void Load::At(TimePoint time, std::function<void()> action) {
  timeline_->At(time, [alive = std::weak_ptr<bool>(alive_), action = std::move(action)] {
    if (!alive.expired()) action();
  });
}

void Load::Start() {
  start_ = timeline_->Now();
  count_from_ = start_ + options_.warm_up;
  end_ = count_from_ + options_.duration;
  last_end_ = start_;
  if (options_.rate > 0) {
    arrivals_.emplace(options_.arrivals, options_.rate, options_.seed);
    ScheduleArrival();
    return;
  }
  arrivals_over_ = true;
  for (int i = 0; i < options_.streams; ++i) Begin(start_);
}

bool Load::Over() const {
  return stopped_ || (options_.requests > 0 && counted_ >= options_.requests);
}

void Load::ScheduleArrival() {
  const TimePoint due = start_ + arrivals_->Next();
  if (due >= end_ || Over()) {
    arrivals_over_ = true;
    At(timeline_->Now(), [this] { FinishIfOver(); });
    return;
  }
  At(due, [this, due] {
    if (!Over()) Begin(due);
    if (!arrivals_over_) ScheduleArrival();
  });
}

void Load::Begin(TimePoint due) {
  auto talk = std::make_shared<Talk>();
  talk->plan = workload_->Make(next_conversation_++);
  talk->dialogue = endpoint_->Open(talk->plan.system, talk->plan.turns.size());
  talks_.insert(talk);
  ScheduleTurn(talk, due);
}

void Load::ScheduleTurn(const std::shared_ptr<Talk>& talk, TimePoint due) {
  talk->due = due;
  if (due >= end_ || Over()) return Close(talk);
  if (due <= timeline_->Now()) return OnDue(talk);
  talk->thinking = true;
  At(due, [this, talk] {
    if (!talk->closed) OnDue(talk);
  });
}

void Load::OnDue(const std::shared_ptr<Talk>& talk) {
  talk->thinking = false;
  if (Over()) return Close(talk);
  if (Counts(talk->due)) ++counted_;
  if (in_flight_ < options_.streams) return Send(talk);
  if (waiting_.size() < kWaitingMax) {
    waiting_.push_back(talk);
    return;
  }
  TurnResult unsent;
  unsent.error = "NOT_SENT";
  unsent.message = "too many requests are due and wait for a free stream";
  if (Counts(talk->due)) report_.Add(static_cast<int>(talk->turn), talk->due, unsent, {});
  Close(talk);
}

void Load::Send(const std::shared_ptr<Talk>& talk) {
  ++in_flight_;
  if (Counts(talk->due)) {
    report_.send_delay_ms.Add(MillisecondsOf(timeline_->Now() - talk->due));
  }
  talk->dialogue->Run(talk->plan.turns[talk->turn],
                      [this, talk](const TurnResult& result) { OnEnd(talk, result); });
}

void Load::OnEnd(const std::shared_ptr<Talk>& talk, const TurnResult& result) {
  --in_flight_;
  last_end_ = std::max(last_end_, result.end);
  if (Counts(talk->due)) {
    report_.Add(static_cast<int>(talk->turn), talk->due, result, options_.objectives);
    report_.seconds = SecondsOf(last_end_ - count_from_);
  }
  if (!waiting_.empty()) {
    const auto next = waiting_.front();
    waiting_.pop_front();
    Send(next);
  }
  if (!result.error.empty() || ++talk->turn == talk->plan.turns.size()) return Close(talk);
  ScheduleTurn(talk, result.end + DurationOf(talk->plan.turns[talk->turn].think_seconds));
}

void Load::Close(const std::shared_ptr<Talk>& talk) {
  talk->closed = true;
  talk->dialogue->Close([this, talk] {
    // Not at once: the dialogue may be what is calling.
    At(timeline_->Now(), [this, talk] {
      talks_.erase(talk);
      FinishIfOver();
    });
  });
  const TimePoint now = timeline_->Now();
  if (options_.rate <= 0 && now < end_ && !Over()) Begin(now);
}

void Load::Stop() {
  stopped_ = true;
  arrivals_over_ = true;
  const std::deque<std::shared_ptr<Talk>> unsent = std::exchange(waiting_, {});
  for (const auto& talk : unsent) Close(talk);
  const std::vector<std::shared_ptr<Talk>> talks(talks_.begin(), talks_.end());
  for (const auto& talk : talks) {
    if (talk->thinking && !talk->closed) Close(talk);
  }
  FinishIfOver();
}

void Load::FinishIfOver() {
  if (finished_ || !arrivals_over_ || !talks_.empty()) return;
  finished_ = true;
  done_();
}

int64_t LoadReport::failed() const {
  int64_t count = 0;
  for (const auto& [code, errors_of_code] : errors) count += errors_of_code;
  return count;
}

double LoadReport::good_share() const {
  const int64_t all = succeeded + failed();
  return all == 0 ? 0 : static_cast<double>(good) / static_cast<double>(all);
}

void LoadReport::Add(int turn, TimePoint due, const TurnResult& result,
                     const Objectives& objectives) {
  prompt_tokens += result.prompt_tokens;
  generated_tokens += result.generated_tokens;
  if (!result.error.empty()) {
    ++errors[result.error];
    error_messages.emplace(result.error, result.message);
    return;
  }
  ++succeeded;
  bool kept = true;
  if (result.first_token.has_value()) {
    const double first_ms = MillisecondsOf(*result.first_token - due);
    first_token_ms.Add(first_ms);
    const auto place = static_cast<size_t>(turn);
    if (first_token_by_turn.size() <= place) first_token_by_turn.resize(place + 1);
    first_token_by_turn[place].Add(first_ms);
    kept = !objectives.first_token_ms.has_value() || first_ms <= *objectives.first_token_ms;
  }
  for (const double gap : result.gaps_ms) inter_token_ms.Add(gap);
  total_ms.Add(MillisecondsOf(result.end - due));
  if (objectives.inter_token_ms.has_value()) {
    kept = kept && PercentilesOf(result.gaps_ms).p99 <= *objectives.inter_token_ms;
  }
  if (kept) ++good;
}

void LoadReport::Merge(const LoadReport& other) {
  seconds += other.seconds;
  succeeded += other.succeeded;
  for (const auto& [code, count] : other.errors) errors[code] += count;
  error_messages.insert(other.error_messages.begin(), other.error_messages.end());
  prompt_tokens += other.prompt_tokens;
  generated_tokens += other.generated_tokens;
  good += other.good;
  first_token_ms.Merge(other.first_token_ms);
  inter_token_ms.Merge(other.inter_token_ms);
  total_ms.Merge(other.total_ms);
  send_delay_ms.Merge(other.send_delay_ms);
  if (first_token_by_turn.size() < other.first_token_by_turn.size()) {
    first_token_by_turn.resize(other.first_token_by_turn.size());
  }
  for (size_t i = 0; i < other.first_token_by_turn.size(); ++i) {
    first_token_by_turn[i].Merge(other.first_token_by_turn[i]);
  }
}

}  // namespace ssmd::bench
