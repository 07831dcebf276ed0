// What the engine tells the world (metrics, logs) while it runs. Called on the step thread: an
// implementation must be quick and must not call back into the engine.
#ifndef SSMD_ENGINE_OBSERVER_H_
#define SSMD_ENGINE_OBSERVER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "engine/base/clock.h"
#include "engine/schedule/request.h"

namespace ssmd {

// How a request ended, with where its time went.
struct RequestRecord {
  std::string request_id;
  std::string trace_id;  // of the caller's trace; empty: none
  std::string tenant;
  std::string model;
  std::string session_id;
  absl::Status status;  // OK: committed and final
  StateSource state_source = StateSource::kFresh;
  Usage usage;
  bool prefix_queried = false;  // its prompt was looked up among held prefixes
  PrefixMiss miss = PrefixMiss::kNone;
  // queue, prefill, decode, client_wait and commit add up to total.
  Duration queue{};        // submission to the first step that ran for it
  Duration load{};         // of that, waiting for its state to come from host memory or the store
  Duration prefill{};      // to the first sampled token or, where none came, to the last step
  Duration decode{};       // from there to the last step
  Duration client_wait{};  // paused, as its reader did not take what was made
  Duration commit{};       // from the last step to the end: the write of what its session became
  Duration total{};        // submission to the end
  std::optional<Duration> first_token;  // submission to the first sampled token
  int64_t pauses = 0;                   // times that its reader was too slow
};

enum class StepPhase : uint8_t { kPrefill, kDecode, kMixed };

struct StepRecord {
  std::string model;
  StepPhase phase = StepPhase::kDecode;
  int64_t tokens = 0;       // fed to the model
  int64_t read_tokens = 0;  // of them, those of prompts and those read again
  int64_t sampled_tokens = 0;
  int64_t segments = 0;
  Duration duration{};
};

// What a state directory gave at the start.
struct RecoveryRecord {
  int64_t sessions = 0;        // of the models that are served
  int64_t torn_bytes = 0;      // cut off the commit log's end: no whole record
  int64_t removed_states = 0;  // stored ones that no session has
};

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void OnFirstToken(const std::string& /*model*/, Duration /*since_submission*/) {}
  virtual void OnNextToken(const std::string& /*model*/, Duration /*since_last*/) {}
  virtual void OnStep(const StepRecord& /*step*/) {}
  virtual void OnPaused(const std::string& /*model*/) {}
  // A state has left its slot (kDevice), host memory (kHost) or, given up altogether, the last tier
  // that it was in.
  virtual void OnEviction(const std::string& /*model*/, StateTier /*left*/) {}
  // The file of a state in the state directory is gone or damaged; its session's history is read
  // again.
  virtual void OnUnreadableState(const std::string& /*model*/, const std::string& /*stored_id*/,
                                 const absl::Status& /*why*/) {}
  // The device is useless from now on, and nothing is served any more.
  virtual void OnDeviceFailure(const std::string& /*what*/) {}
  virtual void OnRecovered(const RecoveryRecord& /*recovery*/) {}
  virtual void OnRequestEnd(const RequestRecord& /*request*/) {}
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_OBSERVER_H_
