// See metrics.h.
#include "server/telemetry/metrics.h"

#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <chrono>

#include "server/access/tenants.h"
#include "server/telemetry/model_series.h"
#include "server/telemetry/series.h"
#include "server/telemetry/sharing_series.h"

namespace ssmd::server {
namespace {

LatencyHistogram Copy(const prometheus::Histogram& histogram) {
  const auto metric = histogram.Collect().histogram;
  LatencyHistogram out;
  for (const auto& bucket : metric.bucket) {
    out.counts.push_back(bucket.cumulative_count);
    if (&bucket != &metric.bucket.back()) out.bounds_seconds.push_back(bucket.upper_bound);
  }
  out.sum_seconds = metric.sample_sum;
  return out;
}

std::array<const char*, kCredentialFaults> CredentialFaultNames() {
  std::array<const char*, kCredentialFaults> names{};
  for (int i = 0; i < kCredentialFaults; ++i) {
    names[static_cast<size_t>(i)] = NameOf(static_cast<CredentialFault>(i));
  }
  return names;
}

}  // namespace

// What the models share: the process, the state directory, all zero without one, and the device.
struct Metrics::Shared {
  explicit Shared(prometheus::Registry* r)
      : ready(Gauge(r, "ssmd_ready", "1 while new turns are taken, as /readyz says", {})),
        draining(Gauge(r, "ssmd_draining",
                       "1 once the daemon takes no new turns and waits for those in progress", {})),
        device_failed(Gauge(r, "ssmd_device_failed",
                            "1 once the device is useless: every turn has ended, the daemon stops",
                            {})),
        resident_bytes(
            Gauge(r, "process_resident_memory_bytes", "Memory of the process that is in RAM", {})),
        host_limit(Gauge(r, "ssmd_host_state_limit_bytes",
                         "What states in host memory may take, of all models together", {})),
        log_bytes(Gauge(r, "ssmd_commit_log_bytes", "Files of the commit log", {})),
        log_records(Counter(r, "ssmd_commit_log_records_total",
                            "Records appended to the commit log: turns and changes of sessions",
                            {})),
        log_syncs(Counter(r, "ssmd_commit_log_syncs_total",
                          "Times that the commit log waited for its medium", {})),
        log_failures(Counter(r, "ssmd_commit_log_failures_total",
                             "Appends that failed: their turns were not committed", {})),
        stored_states(Gauge(r, "ssmd_stored_states", "States in the state directory", {})),
        stored_bytes(
            Gauge(r, "ssmd_stored_state_bytes", "Bytes of states in the state directory", {})),
        stored_limit(Gauge(r, "ssmd_stored_state_limit_bytes",
                           "What states in the state directory may take; 0: no limit", {})),
        store_queued(Gauge(r, "ssmd_state_store_queued",
                           "Reads and writes of stored states that wait or run", {})),
        store_failures(Counter(r, "ssmd_state_store_failures_total",
                               "Reads and writes of stored states that failed", {})),
        refused_credentials(Counters<kCredentialFaults>(r, "ssmd_refused_credentials_total",
                                                        "Calls whose credential was refused", {},
                                                        "credential", CredentialFaultNames())),
        registry(r) {}

  void Refresh(const EngineFigures& figures, const ProcessFigures& process) {
    ready->Set(process.ready ? 1 : 0);
    draining->Set(process.draining ? 1 : 0);
    device_failed->Set(process.device_failed ? 1 : 0);
    resident_bytes->Set(static_cast<double>(process.resident_bytes));
    log_bytes->Set(static_cast<double>(figures.log.bytes));
    CatchUp(figures.log.records, log_records);
    CatchUp(figures.log.syncs, log_syncs);
    CatchUp(figures.log.failures, log_failures);
    stored_states->Set(static_cast<double>(figures.store.states));
    stored_bytes->Set(static_cast<double>(figures.store.bytes));
    stored_limit->Set(static_cast<double>(figures.store.bytes_limit));
    store_queued->Set(static_cast<double>(figures.store.queued));
    CatchUp(figures.store.failures, store_failures);
    if (figures.sharing.has_value()) {
      if (!sharing.has_value()) sharing.emplace(registry);
      sharing->Refresh(*figures.sharing);
    }
    for (const kernels::FastKernelState& kernel : figures.fast_kernels) {
      Gauge(registry, "ssmd_gpu_kernels_off",
            "1 where fast kernels are not used, as the log says why", {{"kernel", kernel.name}})
          ->Set(kernel.off_because.empty() ? 0 : 1);
    }
  }

  prometheus::Gauge* const ready;
  prometheus::Gauge* const draining;
  prometheus::Gauge* const device_failed;
  prometheus::Gauge* const resident_bytes;
  prometheus::Gauge* const host_limit;
  prometheus::Gauge* const log_bytes;
  prometheus::Counter* const log_records;
  prometheus::Counter* const log_syncs;
  prometheus::Counter* const log_failures;
  prometheus::Gauge* const stored_states;
  prometheus::Gauge* const stored_bytes;
  prometheus::Gauge* const stored_limit;
  prometheus::Gauge* const store_queued;
  prometheus::Counter* const store_failures;
  std::optional<SharingSeries> sharing;  // absent where sessions are not shared
  const std::array<prometheus::Counter*, kCredentialFaults> refused_credentials;
  prometheus::Registry* const registry;  // kernels are not known before a device is
};

Metrics::Metrics(const std::vector<std::string>& models)
    : registry_(
          std::make_unique<prometheus::Registry>(prometheus::Registry::InsertBehavior::Merge)),
      shared_(std::make_unique<Shared>(registry_.get())) {
  for (const std::string& model : models) {
    series_.emplace(model, std::make_unique<ModelSeries>(registry_.get(), model));
  }
  Gauge(registry_.get(), "ssmd_build_info", "1; the version is a label",
        {{"version", SSMD_VERSION}})
      ->Set(1);
  // It is made before anything that takes time.
  Gauge(registry_.get(), "process_start_time_seconds", "When the process started, in Unix time", {})
      ->Set(std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
                .count());
}

Metrics::~Metrics() = default;

ModelSeries* Metrics::Find(const std::string& model) const {
  // An empty name means the only model.
  if (model.empty() && series_.size() == 1) return series_.begin()->second.get();
  const auto found = series_.find(model);
  return found == series_.end() ? nullptr : found->second.get();
}

void Metrics::FirstToken(const std::string& model, Duration since_submission) {
  if (ModelSeries* series = Find(model)) series->first_token->Observe(Seconds(since_submission));
}

void Metrics::NextToken(const std::string& model, Duration since_last) {
  if (ModelSeries* series = Find(model)) series->token_interval->Observe(Seconds(since_last));
}

void Metrics::Step(const StepRecord& step) {
  ModelSeries* series = Find(step.model);
  if (series == nullptr) return;
  series->read_tokens->Increment(static_cast<double>(step.read_tokens));
  series->generation_tokens->Increment(static_cast<double>(step.sampled_tokens));
  series->batch_tokens->Observe(static_cast<double>(step.tokens));
  series->step[static_cast<size_t>(step.phase)]->Observe(Seconds(step.duration));
}

void Metrics::Paused(const std::string& model) {
  if (ModelSeries* series = Find(model)) series->paused->Increment();
}

void Metrics::Eviction(const std::string& model, StateTier left) {
  if (ModelSeries* series = Find(model)) series->evictions[static_cast<size_t>(left)]->Increment();
}

void Metrics::RequestEnd(const RequestRecord& request) {
  if (ModelSeries* series = Find(request.model)) series->RequestEnd(request);
}

void Metrics::CountRefused(const std::string& model, const absl::Status& status) {
  if (ModelSeries* series = Find(model)) series->CountEnd(status);
}

void Metrics::CountRefusedCredential(CredentialFault why) {
  shared_->refused_credentials[static_cast<size_t>(why)]->Increment();
}

ModelObservations Metrics::Observations(const std::string& model) const {
  ModelObservations out;
  const ModelSeries* series = Find(model);
  if (series == nullptr) return out;
  out.first_token = Copy(*series->first_token);
  out.inter_token = Copy(*series->token_interval);
  out.queue = Copy(*series->queue);
  for (size_t i = 0; i < series->step.size(); ++i) {
    out.steps.emplace_back(kStepPhaseNames[i], Copy(*series->step[i]));
  }
  for (size_t code = 0; code < series->outcomes.size(); ++code) {
    const auto count = static_cast<int64_t>(series->outcomes[code]->Value());
    if (count == 0) continue;
    out.outcomes.emplace_back(OutcomeName(static_cast<absl::StatusCode>(code)), count);
  }
  return out;
}

std::string Metrics::Scrape(const std::vector<ModelStats>& stats, const EngineFigures& figures,
                            const ProcessFigures& process) {
  MutexLock lock(&scrape_);
  for (const ModelStats& model : stats) {
    if (ModelSeries* series = Find(model.model)) series->Refresh(model);
    shared_->host_limit->Set(static_cast<double>(model.host_bytes_limit));
  }
  shared_->Refresh(figures, process);
  return prometheus::TextSerializer().Serialize(registry_->Collect());
}

}  // namespace ssmd::server
