// The daemon's Prometheus metrics: counters and histograms fed as things happen, gauges read from
// the engine's figures when they are scraped. Series of every model exist, at zero, from the start;
// labels take only names of served models, so that no caller can make series.
//
// Thread-safe. The feeding calls are short (a few atomic adds and a short lock): they run on the
// step thread.
#ifndef SSMD_SERVER_TELEMETRY_METRICS_H_
#define SSMD_SERVER_TELEMETRY_METRICS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/mutex.h"
#include "engine/engine.h"
#include "engine/observer.h"
#include "server/telemetry/model_observations.h"
#include "server/telemetry/process_figures.h"

namespace prometheus {
class Registry;
}

namespace ssmd::server {

class ModelSeries;
enum class CredentialFault : uint8_t;

class Metrics {
 public:
  explicit Metrics(const std::vector<std::string>& models);
  ~Metrics();

  void FirstToken(const std::string& model, Duration since_submission);
  void NextToken(const std::string& model, Duration since_last);
  void Step(const StepRecord& step);
  void Paused(const std::string& model);
  void Eviction(const std::string& model, StateTier left);
  void RequestEnd(const RequestRecord& request);
  // A generation call that the engine never accepted. `model` is what the caller wrote.
  void CountRefused(const std::string& model, const absl::Status& status);

  void CountRefusedCredential(CredentialFault why);

  // So far; nothing, without bounds, for a model that is not there.
  ModelObservations Observations(const std::string& model) const;

  // Text exposition format 0.0.4.
  std::string Scrape(const std::vector<ModelStats>& stats, const EngineFigures& figures,
                     const ProcessFigures& process);

 private:
  struct Shared;
  ModelSeries* Find(const std::string& model) const;

  const std::unique_ptr<prometheus::Registry> registry_;
  const std::unique_ptr<Shared> shared_;
  std::map<std::string, std::unique_ptr<ModelSeries>> series_;  // fixed after construction
  Mutex scrape_;  // one refreshes what is read from totals at a time
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_TELEMETRY_METRICS_H_
