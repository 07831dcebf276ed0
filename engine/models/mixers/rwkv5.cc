#include "engine/models/mixers/rwkv5.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/formats/quoted.h"
#include "engine/models/mixers/rwkv_heads.h"
#include "engine/models/mixers/rwkv_parts.h"

namespace ssmd {
namespace {

// Of receptance, key, value and, last, the gate, which RWKV-5.1 has not.
constexpr const char* kMixNames5[] = {"time_mix_r", "time_mix_k", "time_mix_v", "time_mix_g"};
constexpr int kInputs5 = 4;

class Rwkv5Mixer final : public Mixer {
 public:
  Rwkv5Mixer(const RwkvTimeMixing& config, const std::string& prefix, TensorBinder* binder)
      : config_(config),
        has_gate_(binder->Has(prefix + "gate.weight") || binder->Has(prefix + "time_mix_g")),
        heads_(config, prefix, has_gate_, binder) {
    for (int i = 0; i < inputs(); ++i) {
      mix_tensors_[i] = BindFlat(prefix + kMixNames5[i], config.d_model, binder);
    }
    BindDecay(prefix, binder);
  }

  void DeclareState(int layer, StateLayout* layout) override {
    shift_ = layout->Add(layer, "shift", StateKind::kTokenShift, {config_.d_model});
    heads_.DeclareState(layer, layout);
  }

  absl::Status Prepare(WeightLoader* loader) override {
    for (int i = 0; i < inputs(); ++i) {
      SSMD_ASSIGN_OR_RETURN(mix_[i],
                            LoadShiftWeight(*mix_tensors_[i], ShiftWeight::kOfToken, loader));
      mix_tensors_[i] = nullptr;
    }
    SSMD_ASSIGN_OR_RETURN(const std::vector<float> factors, LoadFactors(loader));
    decay_tensor_ = nullptr;
    return heads_.Prepare(heads_.PadChannels(factors), loader);
  }

  void Forward(const MixerStep& step) const override {
    step.norm.Run(step.device);
    ScratchPieces scratch(step);
    kernels::TokenShiftParams shift = ShiftOf(step, config_.d_model, shift_);
    RwkvHeads::Inputs into;
    for (int i = 0; i < inputs(); ++i) {
      float* mixed = scratch.Take(config_.d_model);
      AddMixture(mix_[i], nullptr, mixed, &shift);
      (i < RwkvHeads::kPaths ? into.path[i] : into.gate) = mixed;
    }
    step.device->TokenShift(shift);
    heads_.Forward(step, into, &scratch);
  }

 private:
  int inputs() const { return has_gate_ ? kInputs5 : kInputs5 - 1; }

  // Of each channel, or, in RWKV-5.1, of each head.
  void BindDecay(const std::string& prefix, TensorBinder* binder) {
    decay_is_factor_ = binder->Has(prefix + "time_decay.factor");
    const std::string name = prefix + (decay_is_factor_ ? "time_decay.factor" : "time_decay");
    const TensorInfo* found = binder->Find(name);
    const int64_t heads = config_.d_inner / config_.head_dim;
    const bool per_head = found != nullptr && found->elements == heads;
    decay_tensor_ = BindFlat(name, per_head ? heads : config_.d_inner, binder);
  }

  absl::StatusOr<std::vector<float>> LoadFactors(WeightLoader* loader) const {
    if (!decay_is_factor_) {
      return LoadMapped(
          *decay_tensor_, [](double x) { return std::exp(-std::exp(x)); }, loader);
    }
    SSMD_ASSIGN_OR_RETURN(std::vector<float> factors, loader->Values(*decay_tensor_));
    for (size_t i = 0; i < factors.size(); ++i) {
      if (factors[i] >= 0 && factors[i] <= 1) continue;
      return absl::InvalidArgumentError(absl::StrCat("weight ", Quoted(decay_tensor_->name),
                                                     " is no factor in [0, 1] at index ", i));
    }
    return factors;
  }

  const RwkvTimeMixing& config_;
  const bool has_gate_;
  RwkvHeads heads_;
  const TensorInfo* mix_tensors_[kInputs5] = {};  // the tensors: until Prepare has read them
  const TensorInfo* decay_tensor_ = nullptr;
  bool decay_is_factor_ = false;  // exp(−exp) of it already
  StatePlace shift_;
  kernels::Buffer mix_[kInputs5];
};

}  // namespace

int64_t Rwkv5ScratchFloatsPerRow(const RwkvTimeMixing& config) {
  return kInputs5 * config.d_model + RwkvHeads::ScratchFloatsPerRow(config);
}

std::unique_ptr<Mixer> BindRwkv5(const RwkvTimeMixing& config, const BlockPlace& place,
                                 TensorBinder* binder) {
  return std::make_unique<Rwkv5Mixer>(config, place.prefix, binder);
}

}  // namespace ssmd
