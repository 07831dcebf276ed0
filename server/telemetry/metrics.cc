// See metrics.h. Names and buckets are a contract with dashboards: add, do not change.
#include "server/telemetry/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>

#include "absl/strings/ascii.h"

namespace ssmd::server {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;
using Labels = prometheus::Labels;

const Buckets& FirstTokenBuckets() {
  static const auto& buckets = *new Buckets{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5,
                                            .75,  1,    2.5, 5,   7.5, 10,  20,  40, 80};
  return buckets;
}
const Buckets& TokenIntervalBuckets() {
  static const auto& buckets = *new Buckets{.0005, .001, .0025, .005, .01, .025, .05, .075, .1,
                                            .15,   .2,   .3,    .4,   .5,  .75,  1,   2.5};
  return buckets;
}
const Buckets& RequestBuckets() {
  static const auto& buckets =
      *new Buckets{.001, .0025, .005, .01, .025, .05, .1, .25, .5, .75, 1,   1.5, 2,
                   2.5,  5,     10,   15,  20,   30,  40, 50,  60, 120, 240, 480, 960};
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

constexpr int kStatusCodes = 17;  // absl::StatusCode is 0..16

// "ok", "cancelled", "resource_exhausted", …
std::string OutcomeName(int code) {
  return absl::AsciiStrToLower(absl::StatusCodeToString(static_cast<absl::StatusCode>(code)));
}

prometheus::Counter* Counter(prometheus::Registry* registry, const char* name, const char* help,
                             const Labels& labels) {
  return &prometheus::BuildCounter().Name(name).Help(help).Register(*registry).Add(labels);
}
prometheus::Gauge* Gauge(prometheus::Registry* registry, const char* name, const char* help,
                         const Labels& labels) {
  return &prometheus::BuildGauge().Name(name).Help(help).Register(*registry).Add(labels);
}
prometheus::Histogram* Histogram(prometheus::Registry* registry, const char* name, const char* help,
                                 const Labels& labels, const Buckets& buckets) {
  return &prometheus::BuildHistogram().Name(name).Help(help).Register(*registry).Add(labels,
                                                                                     buckets);
}

Labels With(Labels labels, const char* key, const std::string& value) {
  labels.emplace(key, value);
  return labels;
}

}  // namespace

// Families of the same name are merged by the registry; every model adds its own label set.
struct Metrics::Series {
  Series(prometheus::Registry* r, const std::string& model) : labels{{"model", model}} {
    AddHistograms(r);
    AddCounters(r);
    AddGauges(r);
  }

  void AddHistograms(prometheus::Registry* r) {
    first_token =
        Histogram(r, "ssmd_time_to_first_token_seconds",
                  "From submission to the first sampled token", labels, FirstTokenBuckets());
    token_interval =
        Histogram(r, "ssmd_inter_token_latency_seconds", "Between two sampled tokens of a choice",
                  labels, TokenIntervalBuckets());
    request = Histogram(r, "ssmd_request_duration_seconds",
                        "From submission to the end of a request", labels, RequestBuckets());
    queue = Histogram(r, "ssmd_request_queue_seconds",
                      "From submission to the first step of a request", labels, RequestBuckets());
    prefill = Histogram(r, "ssmd_request_prefill_seconds", "Reading the prompt of a request",
                        labels, RequestBuckets());
    decode = Histogram(r, "ssmd_request_decode_seconds",
                       "From the first to the last token of a request", labels, RequestBuckets());
    batch_tokens = Histogram(r, "ssmd_batch_tokens", "Tokens of a step", labels, BatchBuckets());
    const char* const kPhases[] = {"prefill", "decode", "mixed"};
    for (size_t i = 0; i < step.size(); ++i) {
      step[i] = Histogram(r, "ssmd_step_seconds", "Duration of a step",
                          With(labels, "phase", kPhases[i]), StepBuckets());
    }
  }

  void AddCounters(prometheus::Registry* r) {
    prompt_tokens = Counter(r, "ssmd_prompt_tokens_total",
                            "Prompt tokens of ended requests, reused ones included", labels);
    generation_tokens = Counter(r, "ssmd_generation_tokens_total", "Tokens sampled", labels);
    reused_tokens = Counter(r, "ssmd_reused_tokens_total",
                            "Prompt tokens that a held state made unnecessary to read", labels);
    paused =
        Counter(r, "ssmd_stream_paused_total", "Times that a turn paused for its reader", labels);
    for (int code = 0; code < kStatusCodes; ++code) {
      outcomes[static_cast<size_t>(code)] =
          Counter(r, "ssmd_requests_total", "Ended requests by outcome",
                  With(labels, "outcome", OutcomeName(code)));
    }
    const char* const kSources[] = {"fresh", "resident"};
    for (size_t i = 0; i < state_loads.size(); ++i) {
      state_loads[i] =
          Counter(r, "ssmd_state_loads_total", "Ended requests by where their state was found",
                  With(labels, "source", kSources[i]));
    }
  }

  void AddGauges(prometheus::Registry* r) {
    running = Gauge(r, "ssmd_requests_running", "Turns in progress", labels);
    waiting = Gauge(r, "ssmd_requests_waiting", "Turns that wait for a slot", labels);
    slots_used = Gauge(r, "ssmd_state_slots", "Slots for states", With(labels, "state", "used"));
    slots_free = Gauge(r, "ssmd_state_slots", "Slots for states", With(labels, "state", "free"));
    sessions = Gauge(r, "ssmd_sessions", "Sessions by where their states are",
                     With(labels, "tier", "device"));
  }

  const Labels labels;
  prometheus::Histogram* first_token = nullptr;
  prometheus::Histogram* token_interval = nullptr;
  prometheus::Histogram* request = nullptr;
  prometheus::Histogram* queue = nullptr;
  prometheus::Histogram* prefill = nullptr;
  prometheus::Histogram* decode = nullptr;
  prometheus::Histogram* batch_tokens = nullptr;
  std::array<prometheus::Histogram*, 3> step{};  // by StepPhase
  prometheus::Counter* prompt_tokens = nullptr;
  prometheus::Counter* generation_tokens = nullptr;
  prometheus::Counter* reused_tokens = nullptr;
  prometheus::Counter* paused = nullptr;
  std::array<prometheus::Counter*, kStatusCodes> outcomes{};
  std::array<prometheus::Counter*, 2> state_loads{};  // by StateSource
  prometheus::Gauge* running = nullptr;
  prometheus::Gauge* waiting = nullptr;
  prometheus::Gauge* slots_used = nullptr;
  prometheus::Gauge* slots_free = nullptr;
  prometheus::Gauge* sessions = nullptr;
};

Metrics::Metrics(const std::vector<std::string>& models)
    : registry_(
          std::make_unique<prometheus::Registry>(prometheus::Registry::InsertBehavior::Merge)) {
  for (const std::string& model : models) {
    series_.emplace(model, std::make_unique<Series>(registry_.get(), model));
  }
  Gauge(registry_.get(), "ssmd_build_info", "1; the version is a label",
        {{"version", SSMD_VERSION}})
      ->Set(1);
}

Metrics::~Metrics() = default;

Metrics::Series* Metrics::Find(const std::string& model) const {
  // An empty name means the only model.
  if (model.empty() && series_.size() == 1) return series_.begin()->second.get();
  const auto found = series_.find(model);
  return found == series_.end() ? nullptr : found->second.get();
}

void Metrics::FirstToken(const std::string& model, Duration since_submission) {
  if (Series* series = Find(model)) series->first_token->Observe(Seconds(since_submission));
}

void Metrics::NextToken(const std::string& model, Duration since_last) {
  if (Series* series = Find(model)) series->token_interval->Observe(Seconds(since_last));
}

void Metrics::Step(const StepRecord& step) {
  Series* series = Find(step.model);
  if (series == nullptr) return;
  series->batch_tokens->Observe(static_cast<double>(step.tokens));
  series->step[static_cast<size_t>(step.phase)]->Observe(Seconds(step.duration));
}

void Metrics::Paused(const std::string& model) {
  if (Series* series = Find(model)) series->paused->Increment();
}

void Metrics::RequestEnd(const RequestRecord& request) {
  Series* series = Find(request.model);
  if (series == nullptr) return;
  series->request->Observe(Seconds(request.total));
  series->queue->Observe(Seconds(request.queue));
  series->prefill->Observe(Seconds(request.prefill));
  series->decode->Observe(Seconds(request.decode));
  series->prompt_tokens->Increment(static_cast<double>(request.usage.prompt_tokens));
  series->generation_tokens->Increment(static_cast<double>(request.usage.generated_tokens));
  series->reused_tokens->Increment(static_cast<double>(request.usage.reused_tokens));
  series->state_loads[static_cast<size_t>(request.state_source)]->Increment();
  series->outcomes[static_cast<size_t>(request.status.code())]->Increment();
}

void Metrics::CountRefused(const std::string& model, const absl::Status& status) {
  if (Series* series = Find(model)) {
    series->outcomes[static_cast<size_t>(status.code())]->Increment();
  }
}

std::string Metrics::Scrape(const std::vector<ModelStats>& stats) {
  for (const ModelStats& model : stats) {
    Series* series = Find(model.model);
    if (series == nullptr) continue;
    series->running->Set(model.running);
    series->waiting->Set(model.waiting);
    series->slots_used->Set(model.slots_used);
    series->slots_free->Set(model.slots_free);
    series->sessions->Set(static_cast<double>(model.sessions));
  }
  return prometheus::TextSerializer().Serialize(registry_->Collect());
}

}  // namespace ssmd::server
