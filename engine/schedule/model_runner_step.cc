// ModelRunner: one step, and the figures.
#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "engine/base/errors.h"
#include "engine/schedule/logits_pass.h"
#include "engine/schedule/model_runner.h"

namespace ssmd {
namespace {

constexpr size_t kEarlyEndsKept = 32;

std::string EarlyEndReason(const absl::Status& status) {
  const std::string reason = ReasonOf(status);
  return reason.empty() ? absl::StatusCodeToString(status.code()) : reason;
}

}  // namespace

std::vector<ModelRunner::Served> ModelRunner::PlanStep() {
  std::vector<Served> candidates;
  std::vector<LaneView> views;
  std::vector<Lane*> lanes;
  absl::flat_hash_map<std::string, int32_t> tenants;
  for (const auto& turn : running_) {
    if (turn->times().paused_since().has_value()) continue;
    const auto tenant = static_cast<int32_t>(tenants.size());
    lanes.clear();
    turn->AppendLanes(&lanes);
    for (Lane* lane : lanes) {
      if (!lane->slot || lane->ready() == 0) continue;
      candidates.push_back({turn.get(), lane, 0, 0});
      LaneView& view = views.emplace_back();
      view.ready = static_cast<int64_t>(lane->ready());
      view.limit =
          lane->feed_limit > lane->fed ? static_cast<int64_t>(lane->feed_limit - lane->fed) : 0;
      view.decoding = lane->decoding;
      view.last_step = lane->last_step;
      view.order = lane->order;
      view.tenant = tenants.try_emplace(turn->head().tenant, tenant).first->second;
    }
  }
  const int64_t chunk_tokens = model_->model->info().chunk_tokens;
  std::vector<Served> served;
  int rows = 0;
  for (const LaneShare& share : scheduler_.Plan(views)) {
    Served& part = served.emplace_back(candidates[share.lane]);
    part.count = static_cast<int>(
        CutAtChunk(part.lane->position, share.tokens, views[share.lane].feedable(), chunk_tokens));
    part.first_row = rows;
    rows += part.count;
  }
  return served;
}

void ModelRunner::AddSegment(const Served& served, Batch* batch) {
  Lane& lane = *served.lane;
  if (std::exchange(lane.mark_next, false)) {
    if (Slot spare = model_->tiers->TakeSlot(); spare) {
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
    for (size_t i = first; i < jobs.size(); ++i) jobs[i].row += part.first_row;
  }
  OrderJobs(absl::MakeSpan(jobs));
  for (const RowJob& job : jobs) batch->logit_rows.push_back(job.row);
  model_->model->Forward(*batch, *model_->pool);
  // While a device that runs ahead computes, what the last step gave is delivered.
  if (context_.deliveries != nullptr) context_.deliveries->Flush();
  RunLogitsPass(model_->model.get(), context_.device, absl::MakeSpan(jobs));
}

void ModelRunner::Step() {
  const TimePoint begin = context_.clock->Now();
  std::vector<Served> served = PlanStep();
  if (served.empty()) return;
  Batch batch;
  StepRecord record;
  record.model = model_->name;
  bool decodes = false;
  for (const Served& part : served) {
    part.turn->times().NoteFirstStep(begin);
    if (part.lane->decoding) {
      decodes = true;
    } else {
      record.read_tokens += part.count;
    }
    AddSegment(part, &batch);
  }
  if (record.read_tokens > 0) {
    record.phase = decodes ? StepPhase::kMixed : StepPhase::kPrefill;
  }
  record.tokens = batch.rows();
  record.segments = static_cast<int64_t>(served.size());
  RunModel(served, &batch);
  if (DeviceFailed()) return;
  ++steps_;

  const TimePoint end = context_.clock->Now();
  record.duration = end - begin;
  for (const Served& part : served) {
    Lane& lane = *part.lane;
    start_policy_.Charge(part.turn->head().tenant, part.count);
    lane.OwnSource();
    lane.position += part.count;
    lane.fed += static_cast<size_t>(part.count);
    lane.last_step = steps_;
    record.sampled_tokens += part.turn->Advance(&lane, end, context_.observer);
  }
  fed_tokens_ += record.tokens;
  read_tokens_ += record.read_tokens;
  sampled_tokens_ += record.sampled_tokens;
  if (context_.observer != nullptr) context_.observer->OnStep(record);
  EndFinished();
  PublishStats();
}

// --- Figures ---

void ModelRunner::CountTurn(const Turn& turn, const RequestRecord& record) {
  if (record.usage.prompt_tokens > 0) ++loads_[static_cast<size_t>(record.state_source)];
  MutexLock lock(&stats_mutex_);
  FillStats(&stats_);
  stats_.prompt_tokens += record.usage.prompt_tokens;
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
  MutexLock lock(&stats_mutex_);
  FillStats(&stats_);
}

void ModelRunner::FillStats(ModelStats* stats) const {
  stats->model = model_->name;
  stats->steps = steps_;
  stats->fed_tokens = fed_tokens_;
  stats->read_tokens = read_tokens_;
  stats->generated_tokens = sampled_tokens_;
  stats->running = static_cast<int>(running_.size());
  stats->paused =
      static_cast<int>(std::count_if(running_.begin(), running_.end(), [](const auto& turn) {
        return turn->times().paused_since().has_value();
      }));
  const TierFigures tiers = model_->tiers->figures();
  stats->slots_free = model_->pool->free_slots();
  stats->slots_used = model_->pool->slots() - stats->slots_free;
  stats->held_states = tiers.held;
  stats->device_states = tiers.in_slots;
  stats->host_states = tiers.in_host;
  stats->host_bytes = tiers.in_host * static_cast<int64_t>(model_->tiers->bytes_per_state());
  stats->loading = tiers.loading;
  stats->storing = tiers.storing;
  stats->evictions.clear();
  for (const StateTier tier : {StateTier::kDevice, StateTier::kHost, StateTier::kLost}) {
    stats->evictions.emplace_back(tier, tiers.evictions[static_cast<size_t>(tier)]);
  }
  stats->loads.clear();
  for (size_t source = 0; source < loads_.size(); ++source) {
    stats->loads.emplace_back(static_cast<StateSource>(source), loads_[source]);
  }
  if (model_->prefixes != nullptr) stats->prefixes = model_->prefixes->figures();
  stats->waiting_by_priority.clear();
  for (const Priority priority : {Priority::kLow, Priority::kNormal, Priority::kHigh}) {
    stats->waiting_by_priority.emplace_back(
        priority, static_cast<int>(std::count_if(
                      waiting_.turns().begin(), waiting_.turns().end(),
                      [&](const auto& turn) { return turn->head().priority == priority; })));
  }
}

ModelStats ModelRunner::stats() const {
  MutexLock lock(&stats_mutex_);
  return stats_;
}

}  // namespace ssmd
