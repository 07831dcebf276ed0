// Channel mixing: an MLP with squared ReLU over shifted inputs, behind a gate of its own up to
// RWKV-6.
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/models/mixers/projection.h"
#include "engine/models/mixers/rwkv.h"
#include "engine/models/mixers/rwkv_parts.h"

namespace ssmd {
namespace {

// What the shift's weights are called and mean: of key, and of receptance where there is one.
struct ShiftNames {
  const char* key;
  const char* receptance;
  ShiftWeight weight;
};
constexpr ShiftNames NamesOf(int version) {
  if (version == 7) return {"x_k", nullptr, ShiftWeight::kOfBefore};
  if (version == 6) return {"time_maa_k", "time_maa_r", ShiftWeight::kOfBefore};
  return {"time_mix_k", "time_mix_r", ShiftWeight::kOfToken};
}

class ChannelMixer final : public Mixer {
 public:
  ChannelMixer(const RwkvChannelMixing& config, const std::string& prefix, TensorBinder* binder)
      : config_(config), names_(NamesOf(config.version)) {
    mix_key_tensor_ = BindFlat(prefix + names_.key, config.d_model, binder);
    key_tensor_ = binder->RequireMatrix(prefix + "key.weight", config.d_inner, config.d_model);
    value_tensor_ = binder->RequireMatrix(prefix + "value.weight", config.d_model, config.d_inner);
    if (!has_gate()) return;
    mix_receptance_tensor_ = BindFlat(prefix + names_.receptance, config.d_model, binder);
    receptance_tensor_ =
        binder->RequireMatrix(prefix + "receptance.weight", config.d_model, config.d_model);
  }

  void DeclareState(int layer, StateLayout* layout) override {
    shift_ = layout->Add(layer, "ffn_shift", StateKind::kTokenShift, {config_.d_model});
  }

  absl::Status Prepare(WeightLoader* loader) override;
  void Forward(const MixerStep& step) const override;

 private:
  bool has_gate() const { return names_.receptance != nullptr; }
  // residual += x · σ(gate)
  kernels::PointwiseParams GatedAdd(const MixerStep& step, const float* x, const float* gate) const;

  const RwkvChannelMixing& config_;
  const ShiftNames names_;
  const TensorInfo* mix_key_tensor_ = nullptr;  // the tensors: until Prepare has read them
  const TensorInfo* mix_receptance_tensor_ = nullptr;
  const TensorInfo* key_tensor_ = nullptr;
  const TensorInfo* value_tensor_ = nullptr;
  const TensorInfo* receptance_tensor_ = nullptr;
  StatePlace shift_;
  kernels::Buffer mix_key_, mix_receptance_;
  Projection key_, value_, receptance_;
};

absl::Status ChannelMixer::Prepare(WeightLoader* loader) {
  const auto load = [&](const TensorInfo* tensor) {
    return Projection::Load(*tensor, nullptr, MatrixRole::kProjection, loader);
  };
  SSMD_ASSIGN_OR_RETURN(mix_key_, LoadShiftWeight(*mix_key_tensor_, names_.weight, loader));
  SSMD_ASSIGN_OR_RETURN(key_, load(key_tensor_));
  SSMD_ASSIGN_OR_RETURN(value_, load(value_tensor_));
  if (has_gate()) {
    SSMD_ASSIGN_OR_RETURN(mix_receptance_,
                          LoadShiftWeight(*mix_receptance_tensor_, names_.weight, loader));
    SSMD_ASSIGN_OR_RETURN(receptance_, load(receptance_tensor_));
  }
  mix_key_tensor_ = mix_receptance_tensor_ = nullptr;
  key_tensor_ = value_tensor_ = receptance_tensor_ = nullptr;
  return absl::OkStatus();
}

void ChannelMixer::Forward(const MixerStep& step) const {
  step.norm.Run(step.device);
  ScratchPieces scratch(step);
  const int64_t width = config_.d_model;
  float* for_key = scratch.Take(width);
  float* for_receptance = scratch.Take(width);
  float* hidden = scratch.Take(config_.d_inner);
  kernels::TokenShiftParams shift = ShiftOf(step, width, shift_);
  AddMixture(mix_key_, nullptr, for_key, &shift);
  if (has_gate()) AddMixture(mix_receptance_, nullptr, for_receptance, &shift);
  step.device->TokenShift(shift);

  step.device->MatMul(key_.Product(step, for_key, width, hidden));
  ApplyInPlace(step, kernels::PointwiseFunction::kSquaredRelu, config_.d_inner, hidden);
  if (!has_gate()) {
    step.device->MatMul(value_.AddToResidual(step, hidden, config_.d_inner));
    return;
  }
  float* value = for_key;
  step.device->MatMul(value_.Product(step, hidden, config_.d_inner, value));
  float* gate = scratch.Take(width);
  step.device->MatMul(receptance_.Product(step, for_receptance, width, gate));
  step.device->Pointwise(GatedAdd(step, value, gate));
}

kernels::PointwiseParams ChannelMixer::GatedAdd(const MixerStep& step, const float* x,
                                                const float* gate) const {
  kernels::PointwiseParams glu;
  glu.function = kernels::PointwiseFunction::kGlu;
  glu.x = x;
  glu.x_stride = config_.d_model;
  glu.y = gate;
  glu.y_stride = config_.d_model;
  glu.add = step.residual;
  glu.add_stride = config_.d_model;
  glu.rows = step.rows();
  glu.cols = config_.d_model;
  glu.out = step.residual;
  glu.out_stride = config_.d_model;
  return glu;
}

class ChannelFamily final : public MixerFamily {
 public:
  explicit ChannelFamily(const RwkvChannelMixing& config) : config_(config) {}

  std::string Describe() const override {
    return absl::StrCat("channel_mixing=", config_.version, " d_inner=", config_.d_inner);
  }
  int64_t scratch_floats_per_row() const override { return 3 * config_.d_model + config_.d_inner; }
  std::unique_ptr<Mixer> Bind(const BlockPlace& place, TensorBinder* binder) const override {
    return std::make_unique<ChannelMixer>(config_, place.prefix, binder);
  }

 private:
  const RwkvChannelMixing config_;
};

}  // namespace

std::unique_ptr<MixerFamily> MakeRwkvChannelMixing(const RwkvChannelMixing& config) {
  return std::make_unique<ChannelFamily>(config);
}

}  // namespace ssmd
