// AdminService's figures: engine and telemetry to protobuf. See convert.h.
#include "server/convert.h"
#include "server/convert_enums.h"

namespace ssmd::server {
namespace {

void Fill(const PrefixFigures& in, v1::PrefixStats* out) {
  out->set_queries(in.queries);
  out->set_hits(in.hits);
  out->set_queried_tokens(in.queried_tokens);
  out->set_hit_tokens(in.hit_tokens);
  out->set_evictions(in.evictions);
  out->set_states(in.states);
  out->set_bytes(in.bytes);
  out->set_bytes_limit(in.bytes_limit);
}

void Add(StateTier tier, int64_t count, google::protobuf::RepeatedPtrField<v1::TierCount>* counts) {
  v1::TierCount* out = counts->Add();
  out->set_tier(ToWire(tier));
  out->set_count(count);
}

void FillStates(const ModelStats& in, v1::ModelStats* out) {
  for (const auto& [tier, count] : in.session_tiers) Add(tier, count, out->mutable_session_tiers());
  out->set_held_states(in.held_states);
  out->set_device_states(in.device_states);
  out->set_host_states(in.host_states);
  out->set_host_bytes(in.host_bytes);
  out->set_host_bytes_limit(in.host_bytes_limit);
  out->set_loading(in.loading);
  out->set_storing(in.storing);
  for (const auto& [source, count] : in.loads) {
    v1::SourceCount* load = out->add_loads();
    load->set_source(ToWire(source));
    load->set_count(count);
  }
  for (const auto& [tier, count] : in.evictions) Add(tier, count, out->mutable_evictions());
  Fill(in.prefixes, out->mutable_prefixes());
}

void FillQueue(const ModelStats& in, v1::ModelStats* out) {
  for (const auto& [priority, count] : in.waiting_by_priority) {
    switch (priority) {
      case Priority::kLow:
        out->set_waiting_low(count);
        break;
      case Priority::kNormal:
        out->set_waiting_normal(count);
        break;
      case Priority::kHigh:
        out->set_waiting_high(count);
        break;
    }
  }
}

void Fill(const LatencyHistogram& in, v1::Latency* out) {
  for (const double bound : in.bounds_seconds) out->add_bounds_ms(bound * 1e3);
  out->mutable_counts()->Add(in.counts.begin(), in.counts.end());
  out->set_sum_ms(in.sum_seconds * 1e3);
}

}  // namespace

void ToProto(const ModelStats& stats, v1::ModelStats* out) {
  out->set_model(stats.model);
  out->set_steps(stats.steps);
  out->set_running(stats.running);
  out->set_waiting(stats.waiting);
  out->set_waiting_limit(stats.waiting_limit);
  out->set_paused(stats.paused);
  out->set_slots_used(stats.slots_used);
  out->set_slots_free(stats.slots_free);
  out->set_sessions(stats.sessions);
  out->set_prompt_tokens(stats.prompt_tokens);
  out->set_read_tokens(stats.read_tokens);
  out->set_fed_tokens(stats.fed_tokens);
  out->set_generated_tokens(stats.generated_tokens);
  out->set_reused_tokens(stats.reused_tokens);
  out->set_recomputed_tokens(stats.recomputed_tokens);
  for (const EarlyEnd& end : stats.early_ends) {
    v1::EarlyEnd* early = out->add_early_ends();
    early->set_request_id(end.request_id);
    early->set_reason(end.reason);
    early->set_noticed_step(end.noticed_step);
    early->set_freed_step(end.freed_step);
  }
  FillStates(stats, out);
  FillQueue(stats, out);
}

void ToProto(const ModelObservations& observed, v1::ModelStats* out) {
  Fill(observed.first_token, out->mutable_time_to_first_token());
  Fill(observed.inter_token, out->mutable_inter_token());
  Fill(observed.queue, out->mutable_queue());
  for (const auto& [phase, duration] : observed.steps) {
    v1::PhaseSteps* steps = out->add_steps_by_phase();
    steps->set_phase(phase);
    Fill(duration, steps->mutable_duration());
  }
  for (const auto& [outcome, count] : observed.outcomes) {
    v1::OutcomeCount* ended = out->add_outcomes();
    ended->set_outcome(outcome);
    ended->set_count(count);
  }
}

void ToProto(const EngineFigures& figures, v1::StateDirStats* out) {
  out->set_log_bytes(figures.log.bytes);
  out->set_log_records(figures.log.records);
  out->set_log_syncs(figures.log.syncs);
  out->set_log_failures(figures.log.failures);
  out->set_stored_states(figures.store.states);
  out->set_stored_bytes(figures.store.bytes);
  out->set_stored_bytes_limit(figures.store.bytes_limit);
  out->set_store_queued(figures.store.queued);
  out->set_store_failures(figures.store.failures);
}

}  // namespace ssmd::server
