// Passes on what the engine tells: to the metrics, and as one log line a request or a stored state
// that is not what it was. Called on the step thread; the log only queues there. What users wrote
// and models said is not among what it is told.
#ifndef SSMD_SERVER_TELEMETRY_ENGINE_OBSERVER_H_
#define SSMD_SERVER_TELEMETRY_ENGINE_OBSERVER_H_

#include "engine/observer.h"
#include "server/telemetry/log.h"
#include "server/telemetry/metrics.h"

namespace ssmd::server {

class EngineObserver final : public Observer {
 public:
  EngineObserver(Metrics* metrics, Log* log) : metrics_(metrics), log_(log) {}

  void OnFirstToken(const std::string& model, Duration since_submission) override {
    metrics_->FirstToken(model, since_submission);
  }
  void OnNextToken(const std::string& model, Duration since_last) override {
    metrics_->NextToken(model, since_last);
  }
  void OnStep(const StepRecord& step) override { metrics_->Step(step); }
  void OnPaused(const std::string& model) override { metrics_->Paused(model); }
  void OnEviction(const std::string& model, StateTier left) override {
    metrics_->Eviction(model, left);
  }
  void OnUnreadableState(const std::string& model, const std::string& stored_id,
                         const absl::Status& why) override;
  void OnDeviceFailure(const std::string& what) override;
  void OnRecovered(const RecoveryRecord& recovery) override;
  void OnRequestEnd(const RequestRecord& request) override;

 private:
  Metrics* const metrics_;
  Log* const log_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_TELEMETRY_ENGINE_OBSERVER_H_
