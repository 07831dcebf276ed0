// Passes on what the engine tells: to the metrics, what requests came to to the tenants' rates, and
// as log lines: one a request (`request`), a
// second one of a request that was slow (`slow_request`), one a stored state that is not what it
// was. Called on the step thread; the log only queues there. What users wrote and models said is
// not among what it is told.
//
// The times of a request in the log share nothing, and queue, load, prefill, decode, client_wait
// and commit add up to its total. (In the metrics and in Timings the queue includes the load.)
#ifndef SSMD_SERVER_TELEMETRY_ENGINE_OBSERVER_H_
#define SSMD_SERVER_TELEMETRY_ENGINE_OBSERVER_H_

#include "engine/observer.h"
#include "server/telemetry/log.h"
#include "server/telemetry/metrics.h"

namespace ssmd::server {

class TenantRates;

class EngineObserver final : public Observer {
 public:
  // `rates` may be null; it, too, outlives this.
  EngineObserver(Metrics* metrics, Log* log, const SlowRequests& slow, TenantRates* rates = nullptr)
      : metrics_(metrics), log_(log), slow_(slow), rates_(rates) {}

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
  bool IsSlow(const RequestRecord& request) const;

  Metrics* const metrics_;
  Log* const log_;
  const SlowRequests slow_;
  TenantRates* const rates_;
};

}  // namespace ssmd::server

#endif  // SSMD_SERVER_TELEMETRY_ENGINE_OBSERVER_H_
