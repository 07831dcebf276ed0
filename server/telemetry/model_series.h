// All Prometheus series of one model. They exist, at zero, from the start. Thread-safe, as
// Prometheus's own are; Refresh is called by one thread at a time.
#ifndef SSMD_SERVER_TELEMETRY_MODEL_SERIES_H_
#define SSMD_SERVER_TELEMETRY_MODEL_SERIES_H_

#include <array>
#include <string>

#include "engine/observer.h"
#include "engine/schedule/model_stats.h"
#include "server/telemetry/names.h"
#include "server/telemetry/series.h"

namespace ssmd::server {

class ModelSeries {
 public:
  ModelSeries(prometheus::Registry* registry, const std::string& model);

  void RequestEnd(const RequestRecord& request);
  // Of a request, or of a call that the engine never accepted.
  void CountEnd(const absl::Status& status);
  // Gauges, and totals that the engine counts.
  void Refresh(const ModelStats& stats);

  static constexpr size_t kStatusCodes = 17;  // absl::StatusCode is 0..16
  static constexpr size_t kTiers = kStateTierNames.size();

  prometheus::Histogram* first_token = nullptr;
  prometheus::Histogram* token_interval = nullptr;
  prometheus::Histogram* queue = nullptr;
  prometheus::Histogram* batch_tokens = nullptr;
  std::array<prometheus::Histogram*, kStepPhaseNames.size()> step{};  // by StepPhase
  prometheus::Counter* read_tokens = nullptr;
  prometheus::Counter* generation_tokens = nullptr;
  prometheus::Counter* paused = nullptr;
  std::array<prometheus::Counter*, kStatusCodes> outcomes{};
  std::array<prometheus::Counter*, kTiers> evictions{};

 private:
  void AddHistograms(prometheus::Registry* registry);
  void AddCounters(prometheus::Registry* registry);
  void AddGauges(prometheus::Registry* registry);
  void AddPrefixes(prometheus::Registry* registry);

  const Labels labels_;
  prometheus::Histogram* request_ = nullptr;
  prometheus::Histogram* load_ = nullptr;
  prometheus::Histogram* prefill_ = nullptr;
  prometheus::Histogram* decode_ = nullptr;
  prometheus::Histogram* client_wait_ = nullptr;
  prometheus::Histogram* commit_ = nullptr;
  prometheus::Counter* prompt_tokens_ = nullptr;
  prometheus::Counter* reused_tokens_ = nullptr;
  prometheus::Counter* recomputed_tokens_ = nullptr;
  std::array<prometheus::Counter*, kReasons.size()> errors_{};
  std::array<prometheus::Counter*, kStateSourceNames.size()> loads_{};
  prometheus::Counter* prefix_queries_ = nullptr;
  prometheus::Counter* prefix_queried_tokens_ = nullptr;
  prometheus::Counter* prefix_hit_tokens_ = nullptr;
  std::array<prometheus::Counter*, kPrefixMissNames.size()> prefix_misses_{};
  prometheus::Counter* prefix_evictions_ = nullptr;
  prometheus::Gauge* prefix_bytes_ = nullptr;
  prometheus::Gauge* prefix_limit_ = nullptr;
  prometheus::Gauge* running_ = nullptr;
  prometheus::Gauge* waiting_ = nullptr;
  prometheus::Gauge* waiting_limit_ = nullptr;
  prometheus::Gauge* paused_turns_ = nullptr;
  prometheus::Gauge* slots_used_ = nullptr;
  prometheus::Gauge* slots_free_ = nullptr;
  std::array<prometheus::Gauge*, kTiers> sessions_{};
  prometheus::Gauge* empty_sessions_ = nullptr;
  prometheus::Gauge* host_bytes_ = nullptr;
  prometheus::Gauge* loading_ = nullptr;
  prometheus::Gauge* storing_ = nullptr;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_TELEMETRY_MODEL_SERIES_H_
