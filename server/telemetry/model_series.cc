// See model_series.h. Names and buckets are a contract with dashboards: add, do not change.
#include "server/telemetry/model_series.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "engine/base/errors.h"

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

// By its place in kReasons.
size_t ReasonIndex(const absl::Status& status) {
  const std::string name = ReasonOf(status);
  const auto found = std::find(kReasons.begin(), kReasons.end() - 1, name);
  return static_cast<size_t>(found - kReasons.begin());
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
                    "From submission to the first sampled token: what a user waits for an answer",
                    FirstTokenBuckets());
  token_interval = add("ssmd_inter_token_latency_seconds",
                       "Between two sampled tokens of a choice: how fast an answer is written",
                       TokenIntervalBuckets());
  request_ = add("ssmd_request_duration_seconds",
                 "From submission to the end of a request; queue, prefill, decode, client wait and "
                 "commit add up to it",
                 RequestBuckets());
  queue = add("ssmd_request_queue_seconds",
              "From submission to the first step of a request: waiting for a slot, for its turn of "
              "the session and for its state",
              RequestBuckets());
  load_ = add("ssmd_state_load_seconds",
              "Of the queue, waiting for a state to come from host memory or a store, of requests "
              "that did",
              LoadBuckets());
  prefill_ = add("ssmd_request_prefill_seconds",
                 "Reading the prompt of a request, up to its first token", RequestBuckets());
  decode_ = add("ssmd_request_decode_seconds",
                "From the first to the last token of a request, without waiting for its reader",
                RequestBuckets());
  client_wait_ = add("ssmd_request_client_wait_seconds",
                     "Waiting for a reader who does not take what was made, of requests that did",
                     RequestBuckets());
  commit_ = add("ssmd_request_commit_seconds",
                "From the last token to the end of a session's turn: writing it to the commit log",
                LoadBuckets());
  batch_tokens = add("ssmd_batch_tokens",
                     "Tokens that a step feeds to the model: how full batches are", BatchBuckets());
  for (size_t i = 0; i < step.size(); ++i) {
    step[i] = Histogram(registry, "ssmd_step_seconds",
                        "Duration of a step, by whether it reads prompts, writes answers or both",
                        With(labels_, "phase", kStepPhaseNames[i]), StepBuckets());
  }
}

void ModelSeries::AddCounters(prometheus::Registry* registry) {
  const auto add = [&](const char* name, const char* help) {
    return Counter(registry, name, help, labels_);
  };
  prompt_tokens_ =
      add("ssmd_prompt_tokens_total", "Prompt tokens of ended requests, reused ones included");
  read_tokens = add("ssmd_read_tokens_total",
                    "Tokens that the model read, of prompts and again, counted as they are");
  generation_tokens = add("ssmd_generation_tokens_total", "Tokens sampled, counted as they are");
  reused_tokens_ =
      add("ssmd_reused_tokens_total",
          "Prompt tokens of ended requests that a held state made unnecessary to read");
  recomputed_tokens_ = add("ssmd_recomputed_tokens_total",
                           "Tokens read a second time: states were lost, or stop strings cut back");
  paused = add("ssmd_stream_paused_total", "Times that a turn paused, as its reader was too slow");
  for (size_t code = 0; code < kStatusCodes; ++code) {
    outcomes[code] =
        Counter(registry, "ssmd_requests_total",
                "Ended and refused requests, by the status that the caller got",
                With(labels_, "outcome", OutcomeName(static_cast<absl::StatusCode>(code))));
  }
  for (size_t i = 0; i < kReasons.size(); ++i) {
    const std::string name(kReasons[i]);
    errors_[i] = Counter(registry, "ssmd_request_errors_total",
                         "Requests that ended or were refused with an error, by its reason: which "
                         "limit it was, or what went wrong",
                         With(labels_, "reason", absl::AsciiStrToLower(name)));
  }
  loads_ = Counters(registry, "ssmd_state_loads_total",
                    "Ended requests by where their state was found; replayed: it was lost and its "
                    "history was read again",
                    labels_, "source", kStateSourceNames);
  evictions = Counters(registry, "ssmd_state_evictions_total",
                       "States that made room for others, by the tier that they left", labels_,
                       "tier", kStateTierNames);
}

void ModelSeries::AddGauges(prometheus::Registry* registry) {
  const auto add = [&](const char* name, const char* help) {
    return Gauge(registry, name, help, labels_);
  };
  running_ = add("ssmd_requests_running", "Turns in progress, paused ones included");
  waiting_ = add("ssmd_requests_waiting", "Turns that were accepted and have not started");
  waiting_limit_ =
      add("ssmd_requests_waiting_limit", "How many may wait; further ones are refused");
  paused_turns_ = add("ssmd_requests_paused", "Turns in progress that wait for their readers");
  const char* const kSlots = "ssmd_state_slots";
  const char* const kSlotsHelp =
      "Slots for states on the device; used ones hold running turns and states that wait there";
  slots_used_ = Gauge(registry, kSlots, kSlotsHelp, With(labels_, "state", "used"));
  slots_free_ = Gauge(registry, kSlots, kSlotsHelp, With(labels_, "state", "free"));
  const char* const kSessions = "ssmd_sessions";
  const char* const kSessionsHelp = "Sessions by where their states are; none: they have none yet";
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
  prefix_queried_tokens_ = Counter(registry, "ssmd_prefix_cache_queried_tokens_total",
                                   "Tokens of such prompts", labels_);
  prefix_hit_tokens_ = Counter(registry, "ssmd_prefix_cache_hit_tokens_total",
                               "Tokens of such prompts that were not read again", labels_);
  prefix_misses_ = Counters(registry, "ssmd_prefix_cache_misses_total",
                            "Such requests that reused less than was seen before, by reason",
                            labels_, "reason", kPrefixMissNames);
  prefix_evictions_ = Counter(registry, "ssmd_prefix_cache_evictions_total",
                              "States of prefixes that made room for others", labels_);
  prefix_bytes_ =
      Gauge(registry, "ssmd_prefix_cache_bytes", "Held prefixes, states and tokens", labels_);
  prefix_limit_ = Gauge(registry, "ssmd_prefix_cache_limit_bytes",
                        "How large they may become together", labels_);
}

void ModelSeries::CountEnd(const absl::Status& status) {
  outcomes[static_cast<size_t>(status.code())]->Increment();
  if (!status.ok()) errors_[ReasonIndex(status)]->Increment();
}

void ModelSeries::RequestEnd(const RequestRecord& request) {
  request_->Observe(Seconds(request.total));
  queue->Observe(Seconds(request.queue));
  if (WasLoaded(request.state_source)) load_->Observe(Seconds(request.load));
  prefill_->Observe(Seconds(request.prefill));
  decode_->Observe(Seconds(request.decode));
  if (request.pauses > 0) client_wait_->Observe(Seconds(request.client_wait));
  if (!request.session_id.empty()) commit_->Observe(Seconds(request.commit));
  prompt_tokens_->Increment(static_cast<double>(request.usage.prompt_tokens));
  reused_tokens_->Increment(static_cast<double>(request.usage.reused_tokens));
  recomputed_tokens_->Increment(static_cast<double>(request.usage.recomputed_tokens));
  loads_[static_cast<size_t>(request.state_source)]->Increment();
  CountEnd(request.status);
  if (!request.prefix_queried) return;
  prefix_queries_->Increment();
  prefix_queried_tokens_->Increment(static_cast<double>(request.usage.prompt_tokens));
  prefix_hit_tokens_->Increment(static_cast<double>(request.usage.reused_tokens));
  if (request.miss != PrefixMiss::kNone) {
    prefix_misses_[static_cast<size_t>(request.miss)]->Increment();
  }
}

void ModelSeries::Refresh(const ModelStats& stats) {
  running_->Set(stats.running);
  waiting_->Set(stats.waiting);
  waiting_limit_->Set(stats.waiting_limit);
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
  prefix_limit_->Set(static_cast<double>(stats.prefixes.bytes_limit));
  CatchUp(stats.prefixes.evictions, prefix_evictions_);
}

}  // namespace ssmd::server
