#include "engine/models/mixers/rwkv4.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/formats/quoted.h"
#include "engine/models/mixers/projection.h"
#include "engine/models/mixers/rwkv_parts.h"

namespace ssmd {
namespace {

// Receptance, key and value, in this order, everywhere below.
constexpr int kPaths4 = 3;
constexpr const char* kPathNames4[kPaths4] = {"receptance", "key", "value"};
constexpr const char* kMixNames4[kPaths4] = {"time_mix_r", "time_mix_k", "time_mix_v"};

class Rwkv4Mixer final : public Mixer {
 public:
  Rwkv4Mixer(const RwkvTimeMixing& config, const std::string& prefix, TensorBinder* binder);

  void DeclareState(int layer, StateLayout* layout) override;
  absl::Status Prepare(WeightLoader* loader) override;
  void Forward(const MixerStep& step) const override;

 private:
  absl::StatusOr<std::vector<float>> LoadRates(WeightLoader* loader) const;
  kernels::Wkv4Params Recurrence(const MixerStep& step, float* const* paths) const;

  const RwkvTimeMixing& config_;
  struct {
    const TensorInfo* mix[kPaths4];
    const TensorInfo* path[kPaths4];
    const TensorInfo* decay;
    bool decay_is_rate;  // −exp of it already
    const TensorInfo* bonus;
    const TensorInfo* output;
  } tensors_ = {};  // until Prepare has read them
  StatePlace shift_, sums_;

  kernels::Buffer mix_[kPaths4];
  Projection path_[kPaths4];
  kernels::Buffer decay_, bonus_;
  Projection output_;
};

Rwkv4Mixer::Rwkv4Mixer(const RwkvTimeMixing& config, const std::string& prefix,
                       TensorBinder* binder)
    : config_(config) {
  for (int i = 0; i < kPaths4; ++i) {
    tensors_.mix[i] = BindFlat(prefix + kMixNames4[i], config.d_model, binder);
    tensors_.path[i] =
        binder->RequireMatrix(prefix + kPathNames4[i] + ".weight", config.d_inner, config.d_model);
  }
  tensors_.decay_is_rate = binder->Has(prefix + "time_decay.rate");
  tensors_.decay = BindFlat(prefix + (tensors_.decay_is_rate ? "time_decay.rate" : "time_decay"),
                            config.d_inner, binder);
  tensors_.bonus = BindFlat(prefix + "time_first", config.d_inner, binder);
  tensors_.output = binder->RequireMatrix(prefix + "output.weight", config.d_model, config.d_inner);
}

void Rwkv4Mixer::DeclareState(int layer, StateLayout* layout) {
  shift_ = layout->Add(layer, "shift", StateKind::kTokenShift, {config_.d_model});
  sums_ = layout->Add(layer, "wkv", StateKind::kLinear, {3, config_.d_inner});
}

absl::StatusOr<std::vector<float>> Rwkv4Mixer::LoadRates(WeightLoader* loader) const {
  const TensorInfo& decay = *tensors_.decay;
  if (!tensors_.decay_is_rate) {
    return LoadMapped(
        decay, [](double x) { return -std::exp(x); }, loader);
  }
  SSMD_ASSIGN_OR_RETURN(std::vector<float> rates, loader->Values(decay));
  for (size_t i = 0; i < rates.size(); ++i) {
    if (rates[i] <= 0) continue;
    return absl::InvalidArgumentError(absl::StrCat("weight ", Quoted(decay.name),
                                                   " is above 0 at index ", i,
                                                   ": a state would grow without bound"));
  }
  return rates;
}

absl::Status Rwkv4Mixer::Prepare(WeightLoader* loader) {
  for (int i = 0; i < kPaths4; ++i) {
    SSMD_ASSIGN_OR_RETURN(mix_[i],
                          LoadShiftWeight(*tensors_.mix[i], ShiftWeight::kOfToken, loader));
    SSMD_ASSIGN_OR_RETURN(
        path_[i], Projection::Load(*tensors_.path[i], nullptr, MatrixRole::kProjection, loader));
  }
  SSMD_ASSIGN_OR_RETURN(const std::vector<float> rates, LoadRates(loader));
  SSMD_ASSIGN_OR_RETURN(decay_, loader->Upload(rates, tensors_.decay->name));
  SSMD_ASSIGN_OR_RETURN(bonus_, loader->Vector(*tensors_.bonus));
  SSMD_ASSIGN_OR_RETURN(
      output_, Projection::Load(*tensors_.output, nullptr, MatrixRole::kProjection, loader));
  tensors_ = {};
  return absl::OkStatus();
}

void Rwkv4Mixer::Forward(const MixerStep& step) const {
  step.norm.Run(step.device);
  ScratchPieces scratch(step);
  kernels::TokenShiftParams shift = ShiftOf(step, config_.d_model, shift_);
  float* mixed[kPaths4];
  for (int i = 0; i < kPaths4; ++i) {
    mixed[i] = scratch.Take(config_.d_model);
    AddMixture(mix_[i], nullptr, mixed[i], &shift);
  }
  step.device->TokenShift(shift);
  float* paths[kPaths4];
  for (int i = 0; i < kPaths4; ++i) {
    paths[i] = scratch.Take(config_.d_inner);
    step.device->MatMul(path_[i].Product(step, mixed[i], config_.d_model, paths[i]));
  }
  step.device->Wkv4(Recurrence(step, paths));
  step.device->MatMul(output_.AddToResidual(step, paths[0], config_.d_inner));
}

kernels::Wkv4Params Rwkv4Mixer::Recurrence(const MixerStep& step, float* const* paths) const {
  kernels::Wkv4Params wkv;
  wkv.segments = step.indices.segments;
  wkv.segment_count = step.indices.segment_count;
  wkv.rows = step.rows();
  wkv.channels = config_.d_inner;
  wkv.r = paths[0];
  wkv.k = paths[1];
  wkv.v = paths[2];
  wkv.x_stride = config_.d_inner;
  wkv.decay = decay_.as<float>();
  wkv.bonus = bonus_.as<float>();
  wkv.state = step.pool->field(sums_);
  wkv.y = paths[0];
  wkv.y_stride = config_.d_inner;
  return wkv;
}

}  // namespace

int64_t Rwkv4ScratchFloatsPerRow(const RwkvTimeMixing& config) {
  return kPaths4 * (config.d_model + config.d_inner);
}

std::unique_ptr<Mixer> BindRwkv4(const RwkvTimeMixing& config, const BlockPlace& place,
                                 TensorBinder* binder) {
  return std::make_unique<Rwkv4Mixer>(config, place.prefix, binder);
}

}  // namespace ssmd
