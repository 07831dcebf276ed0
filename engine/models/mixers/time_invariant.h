// The frame of the layers whose recurrence is linear and does not depend on the input, that of S4's
// block: y = ssm(u);  residual += GLU(out · gelu(y)), or out · gelu(y) without the gate. What they
// differ in is ssm.
#ifndef SSMD_ENGINE_MODELS_MIXERS_TIME_INVARIANT_H_
#define SSMD_ENGINE_MODELS_MIXERS_TIME_INVARIANT_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/models/config_object.h"
#include "engine/models/mixer.h"
#include "engine/models/mixers/projection.h"
#include "engine/models/model_config.h"

namespace ssmd {

// Longest kernel or window that a configuration may name.
inline constexpr int64_t kMaxTaps = int64_t{1} << 30;

// What the configurations of all have in common; a base of them.
struct TimeInvariantConfig {
  int64_t d_model = 0;
  bool gated = true;           // `output`: "glu", else "linear"
  int64_t scratch_floats = 0;  // a row, of ssm alone

  int64_t chunk_tokens() const { return 0; }
  int64_t outputs() const { return gated ? 2 * d_model : d_model; }
  std::string_view output() const { return gated ? "glu" : "linear"; }
};

// Reads `output`, and refuses members that are neither this nor `own`.
absl::Status ParseTimeInvariant(const ModelConfig& config, const ConfigObject& members,
                                std::span<const std::string_view> own, TimeInvariantConfig* parsed);

class TimeInvariantMixer : public Mixer {
 public:
  TimeInvariantMixer(const TimeInvariantConfig& config, const std::string& prefix,
                     TensorBinder* binder);

  absl::Status Prepare(WeightLoader* loader) final;
  void Forward(const MixerStep& step) const final;

 protected:
  virtual absl::Status PrepareSsm(WeightLoader* loader) = 0;
  // y = ssm(u) of each row: u is the norm's output, y (rows, d_model). `scratch` has scratch_floats
  // a row.
  virtual void Ssm(const MixerStep& step, float* scratch, float* y) const = 0;

 private:
  const TimeInvariantConfig& frame_;
  const TensorInfo* out_tensor_ = nullptr;  // the tensors: until Prepare has read them
  const TensorInfo* out_bias_tensor_ = nullptr;
  Projection out_;
};

// Segments, rows, input and output of a step, which all ops of recurrences call alike.
template <typename Params>
Params ScanOf(const MixerStep& step, int64_t channels, float* y) {
  Params scan;
  scan.segments = step.indices.segments;
  scan.segment_count = step.indices.segment_count;
  scan.rows = step.rows();
  scan.channels = channels;
  scan.u = step.norm.out();
  scan.u_stride = step.norm.out_stride();
  scan.y = y;
  scan.y_stride = channels;
  return scan;
}

// `Config` is a TimeInvariantConfig with a Describe() and scan_operations(); `Layer` is made of it,
// a place's prefix and a binder.
template <typename Config, typename Layer>
class TimeInvariantFamily final : public MixerFamily {
 public:
  explicit TimeInvariantFamily(Config config) : config_(std::move(config)) {}

  std::string Describe() const override { return config_.Describe(); }
  int64_t scratch_floats_per_row() const override {
    return config_.d_model + (config_.gated ? config_.outputs() : 0) + config_.scratch_floats;
  }
  int64_t scan_operations() const override { return config_.scan_operations(); }
  int64_t chunk_tokens() const override { return config_.chunk_tokens(); }
  std::unique_ptr<Mixer> Bind(const BlockPlace& place, TensorBinder* binder) const override {
    return std::make_unique<Layer>(config_, place.prefix, binder);
  }

 private:
  const Config config_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_TIME_INVARIANT_H_
