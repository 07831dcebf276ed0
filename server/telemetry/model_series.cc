// See model_series.h. Names and buckets are a contract with dashboards: add, do not change.
#include "server/telemetry/model_series.h"

#include "absl/strings/ascii.h"

namespace ssmd::server {
namespace {

const Buckets& FirstTokenBuckets() {
  static const auto& buckets = *new Buckets{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5,
                                            .75,  1,    2.5, 5,   7.5, 10,  20,  40, 80};
  return buckets;
}
// Close together, so that a quantile's estimate is off by no more than a fifth where it matters.
const Buckets& TokenIntervalBuckets() {
  static const auto& buckets =
      *new Buckets{.0005, .001, .0015, .002, .0025, .003, .004, .005, .006, .0075, .01,
                   .0125, .015, .0175, .02,  .025,  .03,  .035, .04,  .05,  .06,   .075,
                   .1,    .15,  .2,    .25,  .3,    .4,   .5,   .75,  1,    2.5,   5};
  return buckets;
}
const Buckets& RequestBuckets() {
  static const auto& buckets =
      *new Buckets{.001, .0025, .005, .01, .025, .05, .1, .25, .5, .75, 1,   1.5, 2,
                   2.5,  5,     10,   15,  20,   30,  40, 50,  60, 120, 240, 480, 960};
  return buckets;
}
const Buckets& LoadBuckets() {
  static const auto& buckets =
      *new Buckets{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5};
  return buckets;
}
const Buckets& StepBuckets() {
  static const auto& buckets = *new Buckets{.0001, .00025, .0005, .001, .0025, .005, .01, .025,
                                            .05,   .1,     .25,   .5,   1,     2.5,  5,   10};
  return buckets;
}
const Buckets& BatchBuckets() {
  static const auto& buckets =
      *new Buckets{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192};
  return buckets;
}

// "ok", "cancelled", "resource_exhausted", …
std::string OutcomeName(size_t code) {
  return absl::AsciiStrToLower(absl::StatusCodeToString(static_cast<absl::StatusCode>(code)));
}

// The state had to be brought into a slot.
bool WasLoaded(StateSource source) {
  return source == StateSource::kHost || source == StateSource::kDisk ||
         source == StateSource::kRemote;
}

}  // namespace

ModelSeries::ModelSeries(prometheus::Registry* registry, const std::string& model)
    : labels_{{"model", model}} {
  AddHistograms(registry);
  AddCounters(registry);
  AddGauges(registry);
  AddPrefixes(registry);
}

void ModelSeries::AddHistograms(prometheus::Registry* registry) {
  const auto add = [&](const char* name, const char* help, const Buckets& bounds) {
    return Histogram(registry, name, help, labels_, bounds);
  };
  first_token = add("ssmd_time_to_first_token_seconds",
                    "From submission to the first sampled token", FirstTokenBuckets());
  token_interval = add("ssmd_inter_token_latency_seconds", "Between two sampled tokens of a choice",
                       TokenIntervalBuckets());
  request_ = add("ssmd_request_duration_seconds", "From submission to the end of a request",
                 RequestBuckets());
  queue_ = add("ssmd_request_queue_seconds", "From submission to the first step of a request",
               RequestBuckets());
  load_ = add("ssmd_state_load_seconds",
              "Waiting for a state to come from host memory or a store, of requests that did",
              LoadBuckets());
  prefill_ =
      add("ssmd_request_prefill_seconds", "Reading the prompt of a request", RequestBuckets());
  decode_ = add("ssmd_request_decode_seconds", "From the first to the last token of a request",
                RequestBuckets());
  batch_tokens = add("ssmd_batch_tokens", "Tokens of a step", BatchBuckets());
  const char* const kPhases[] = {"prefill", "decode", "mixed"};
  for (size_t i = 0; i < step.size(); ++i) {
    step[i] = Histogram(registry, "ssmd_step_seconds", "Duration of a step",
                        With(labels_, "phase", kPhases[i]), StepBuckets());
  }
}

void ModelSeries::AddCounters(prometheus::Registry* registry) {
  const auto add = [&](const char* name, const char* help) {
    return Counter(registry, name, help, labels_);
  };
  prompt_tokens_ =
      add("ssmd_prompt_tokens_total", "Prompt tokens of ended requests, reused ones included");
  generation_tokens = add("ssmd_generation_tokens_total", "Tokens sampled");
  reused_tokens_ =
      add("ssmd_reused_tokens_total", "Prompt tokens that a held state made unnecessary to read");
  recomputed_tokens_ = add("ssmd_recomputed_tokens_total", "Tokens read a second time");
  paused = add("ssmd_stream_paused_total", "Times that a turn paused for its reader");
  for (size_t code = 0; code < kStatusCodes; ++code) {
    outcomes[code] = Counter(registry, "ssmd_requests_total", "Ended requests by outcome",
                             With(labels_, "outcome", OutcomeName(code)));
  }
  loads_ =
      Counters(registry, "ssmd_state_loads_total", "Ended requests by where their state was found",
               labels_, "source", kStateSourceNames);
  evictions = Counters(registry, "ssmd_state_evictions_total", "States by the tier that they left",
                       labels_, "tier", kStateTierNames);
}

void ModelSeries::AddGauges(prometheus::Registry* registry) {
  const auto add = [&](const char* name, const char* help) {
    return Gauge(registry, name, help, labels_);
  };
  running_ = add("ssmd_requests_running", "Turns in progress");
  waiting_ = add("ssmd_requests_waiting", "Turns that wait for a slot");
  paused_turns_ = add("ssmd_requests_paused", "Turns in progress that wait for their readers");
  const char* const kSlots = "ssmd_state_slots";
  const char* const kSlotsHelp = "Slots for states";
  slots_used_ = Gauge(registry, kSlots, kSlotsHelp, With(labels_, "state", "used"));
  slots_free_ = Gauge(registry, kSlots, kSlotsHelp, With(labels_, "state", "free"));
  const char* const kSessions = "ssmd_sessions";
  const char* const kSessionsHelp = "Sessions by where their states are";
  for (size_t i = 0; i < kTiers; ++i) {
    sessions_[i] =
        Gauge(registry, kSessions, kSessionsHelp, With(labels_, "tier", kStateTierNames[i]));
  }
  empty_sessions_ = Gauge(registry, kSessions, kSessionsHelp, With(labels_, "tier", "none"));
  host_bytes_ = add("ssmd_host_state_bytes", "States in host memory");
  loading_ = add("ssmd_states_loading", "States on their way from the store");
  storing_ = add("ssmd_states_storing", "States on their way to the store");
}

void ModelSeries::AddPrefixes(prometheus::Registry* registry) {
  prefix_queries_ =
      Counter(registry, "ssmd_prefix_cache_queries_total",
              "Ended requests whose prompt was looked up among held prefixes", labels_);
  prefix_hit_tokens_ = Counter(registry, "ssmd_prefix_cache_hit_tokens_total",
                               "Tokens of such prompts that were not read again", labels_);
  prefix_misses_ = Counters(registry, "ssmd_prefix_cache_misses_total",
                            "Such requests that reused less than was seen before, by reason",
                            labels_, "reason", kPrefixMissNames);
  prefix_evictions_ = Counter(registry, "ssmd_prefix_cache_evictions_total",
                              "States of prefixes that made room for others", labels_);
  prefix_bytes_ =
      Gauge(registry, "ssmd_prefix_cache_bytes", "Held prefixes, states and tokens", labels_);
}

void ModelSeries::RequestEnd(const RequestRecord& request) {
  request_->Observe(Seconds(request.total));
  queue_->Observe(Seconds(request.queue));
  if (WasLoaded(request.state_source)) load_->Observe(Seconds(request.load));
  prefill_->Observe(Seconds(request.prefill));
  decode_->Observe(Seconds(request.decode));
  prompt_tokens_->Increment(static_cast<double>(request.usage.prompt_tokens));
  reused_tokens_->Increment(static_cast<double>(request.usage.reused_tokens));
  recomputed_tokens_->Increment(static_cast<double>(request.usage.recomputed_tokens));
  loads_[static_cast<size_t>(request.state_source)]->Increment();
  outcomes[static_cast<size_t>(request.status.code())]->Increment();
  if (!request.prefix_queried) return;
  prefix_queries_->Increment();
  prefix_hit_tokens_->Increment(static_cast<double>(request.usage.reused_tokens));
  if (request.miss != PrefixMiss::kNone) {
    prefix_misses_[static_cast<size_t>(request.miss)]->Increment();
  }
}

void ModelSeries::Refresh(const ModelStats& stats) {
  running_->Set(stats.running);
  waiting_->Set(stats.waiting);
  paused_turns_->Set(stats.paused);
  slots_used_->Set(stats.slots_used);
  slots_free_->Set(stats.slots_free);
  std::array<int64_t, kTiers> tiers{};
  int64_t somewhere = 0;
  for (const auto& [tier, count] : stats.session_tiers) {
    tiers[static_cast<size_t>(tier)] += count;
    somewhere += count;
  }
  for (size_t i = 0; i < kTiers; ++i) sessions_[i]->Set(static_cast<double>(tiers[i]));
  empty_sessions_->Set(static_cast<double>(stats.sessions - somewhere));
  host_bytes_->Set(static_cast<double>(stats.host_bytes));
  loading_->Set(static_cast<double>(stats.loading));
  storing_->Set(static_cast<double>(stats.storing));
  prefix_bytes_->Set(static_cast<double>(stats.prefixes.bytes));
  CatchUp(stats.prefixes.evictions, prefix_evictions_);
}

}  // namespace ssmd::server
