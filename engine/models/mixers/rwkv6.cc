#include "engine/models/mixers/rwkv6.h"

#include <string>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/models/mixers/rwkv_heads.h"
#include "engine/models/mixers/rwkv_parts.h"

namespace ssmd {
namespace {

// What the shift mixes an input for, in the order of the tensors that make the mixtures' weights.
enum Mixture6 { kW6, kK6, kV6, kR6, kG6, kMixtures6 };
constexpr const char* kMixNames6[kMixtures6] = {"time_maa_w", "time_maa_k", "time_maa_v",
                                                "time_maa_r", "time_maa_g"};

class Rwkv6Mixer final : public Mixer {
 public:
  Rwkv6Mixer(const RwkvTimeMixing& config, const std::string& prefix, TensorBinder* binder);

  void DeclareState(int layer, StateLayout* layout) override {
    shift_ = layout->Add(layer, "shift", StateKind::kTokenShift, {config_.d_model});
    heads_.DeclareState(layer, layout);
  }
  absl::Status Prepare(WeightLoader* loader) override;
  void Forward(const MixerStep& step) const override;

 private:
  void BindMixMatrices(const std::string& prefix, TensorBinder* binder);
  absl::Status PrepareMixMatrices(WeightLoader* loader);
  absl::StatusOr<Projection> LoadDecayFromRank(WeightLoader* loader) const;
  // Fills `mixed`, (rows, d_model) each. `hidden` is (rows, mixtures · d_model).
  void Mix(const MixerStep& step, float* const* mixed, float* hidden, ScratchPieces* scratch) const;

  const RwkvTimeMixing& config_;
  RwkvHeads heads_;
  int64_t mix_rank_ = 0;  // of one mixture
  int64_t decay_rank_ = 0;
  struct {
    const TensorInfo* mix_x;
    const TensorInfo* mix[kMixtures6];
    LowRankMatrix mix_to;        // to the ranks of all mixtures, side by side
    const TensorInfo* mix_from;  // (mixtures, rank, d_model)
    bool mix_from_transposed;    // … which are (rank, d_model) each, not (d_model, rank)
    const TensorInfo* decay;
    LowRankMatrix decay_to, decay_from;
  } tensors_ = {};  // until Prepare has read them
  StatePlace shift_;

  kernels::Buffer mix_x_, mix_[kMixtures6];
  Projection mix_to_, mix_from_[kMixtures6], decay_to_, decay_from_;
};

Rwkv6Mixer::Rwkv6Mixer(const RwkvTimeMixing& config, const std::string& prefix,
                       TensorBinder* binder)
    : config_(config), heads_(config, prefix, true, binder) {
  tensors_.mix_x = BindFlat(prefix + "time_maa_x", config.d_model, binder);
  for (int i = 0; i < kMixtures6; ++i) {
    tensors_.mix[i] = BindFlat(prefix + kMixNames6[i], config.d_model, binder);
  }
  BindMixMatrices(prefix, binder);
  tensors_.decay = BindFlat(prefix + "time_decay", config.d_inner, binder);
  tensors_.decay_to = BindToRank(prefix + "time_decay_w1", config.d_model, 1, binder);
  decay_rank_ = tensors_.decay_to.outputs;
  tensors_.decay_from = BindFromRank(prefix + "time_decay_w2", decay_rank_, config.d_inner, binder);
}

void Rwkv6Mixer::BindMixMatrices(const std::string& prefix, TensorBinder* binder) {
  tensors_.mix_to = BindToRank(prefix + "time_maa_w1", config_.d_model, kMixtures6, binder);
  mix_rank_ = tensors_.mix_to.outputs / kMixtures6;
  tensors_.mix_from_transposed = !binder->Has(prefix + "time_maa_w2.weight");
  tensors_.mix_from =
      tensors_.mix_from_transposed
          ? binder->Require(prefix + "time_maa_w2", {kMixtures6, mix_rank_, config_.d_model})
          : binder->Require(prefix + "time_maa_w2.weight",
                            {kMixtures6, config_.d_model, mix_rank_});
}

absl::Status Rwkv6Mixer::PrepareMixMatrices(WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(mix_to_,
                        LoadLowRank(tensors_.mix_to, nullptr, MatrixRole::kSelection, loader));
  const TensorInfo& tensor = *tensors_.mix_from;
  SSMD_ASSIGN_OR_RETURN(const std::vector<float> values, loader->Values(tensor));
  const int64_t elements = mix_rank_ * config_.d_model;
  for (int i = 0; i < kMixtures6; ++i) {
    const float* slice = values.data() + i * elements;
    std::vector<float> matrix = tensors_.mix_from_transposed
                                    ? Transposed(slice, mix_rank_, config_.d_model)
                                    : std::vector<float>(slice, slice + elements);
    SSMD_ASSIGN_OR_RETURN(kernels::PackedMatrix packed,
                          loader->Derived(tensor.name, std::move(matrix), config_.d_model,
                                          mix_rank_, MatrixRole::kSelection));
    SSMD_ASSIGN_OR_RETURN(mix_from_[i], Projection::Of(std::move(packed), nullptr, loader));
  }
  return absl::OkStatus();
}

// Padded as the heads are.
absl::StatusOr<Projection> Rwkv6Mixer::LoadDecayFromRank(WeightLoader* loader) const {
  const LowRankMatrix& from = tensors_.decay_from;
  SSMD_ASSIGN_OR_RETURN(std::vector<float> values, loader->Values(*from.tensor));
  if (from.transposed) values = Transposed(values.data(), from.inputs, from.outputs);
  SSMD_ASSIGN_OR_RETURN(kernels::PackedMatrix packed,
                        loader->Derived(from.tensor->name, heads_.PadRows(values), heads_.padded(),
                                        from.inputs, MatrixRole::kSelection));
  return Projection::Of(std::move(packed), nullptr, loader);
}

absl::Status Rwkv6Mixer::Prepare(WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(mix_x_, loader->Vector(*tensors_.mix_x));
  for (int i = 0; i < kMixtures6; ++i) {
    SSMD_ASSIGN_OR_RETURN(mix_[i], loader->Vector(*tensors_.mix[i]));
  }
  SSMD_RETURN_IF_ERROR(PrepareMixMatrices(loader));
  SSMD_ASSIGN_OR_RETURN(decay_to_,
                        LoadLowRank(tensors_.decay_to, nullptr, MatrixRole::kSelection, loader));
  SSMD_ASSIGN_OR_RETURN(decay_from_, LoadDecayFromRank(loader));
  SSMD_ASSIGN_OR_RETURN(const std::vector<float> decay, loader->Values(*tensors_.decay));
  tensors_ = {};
  return heads_.Prepare(heads_.PadChannels(decay), loader);
}

void Rwkv6Mixer::Forward(const MixerStep& step) const {
  step.norm.Run(step.device);
  ScratchPieces scratch(step);
  float* mixed[kMixtures6];
  for (float*& piece : mixed) piece = scratch.Take(config_.d_model);
  float* hidden = scratch.Take(kMixtures6 * config_.d_model);  // a rank is no larger
  Mix(step, mixed, hidden, &scratch);

  step.device->MatMul(decay_to_.Product(step, mixed[kW6], config_.d_model, hidden));
  ApplyInPlace(step, kernels::PointwiseFunction::kTanh, decay_rank_, hidden);
  float* decay = scratch.Take(heads_.padded());
  step.device->MatMul(decay_from_.Product(step, hidden, decay_rank_, decay));

  RwkvHeads::Inputs into;
  into.path[0] = mixed[kR6];
  into.path[1] = mixed[kK6];
  into.path[2] = mixed[kV6];
  into.gate = mixed[kG6];
  into.decay_row = decay;
  heads_.Forward(step, into, &scratch);
}

void Rwkv6Mixer::Mix(const MixerStep& step, float* const* mixed, float* hidden,
                     ScratchPieces* scratch) const {
  kernels::TokenShiftParams first = ShiftOf(step, config_.d_model, shift_);
  first.keep_state = true;
  AddMixture(mix_x_, nullptr, mixed[0], &first);
  step.device->TokenShift(first);
  step.device->MatMul(mix_to_.Product(step, mixed[0], config_.d_model, hidden));
  const int64_t ranks = kMixtures6 * mix_rank_;
  ApplyInPlace(step, kernels::PointwiseFunction::kTanh, ranks, hidden);

  kernels::TokenShiftParams shift = ShiftOf(step, config_.d_model, shift_);
  for (int i = 0; i < kMixtures6; ++i) {
    float* delta = scratch->Take(config_.d_model);
    step.device->MatMul(mix_from_[i].Product(step, hidden + i * mix_rank_, ranks, delta));
    AddMixture(mix_[i], delta, mixed[i], &shift);
  }
  step.device->TokenShift(shift);
}

}  // namespace

int64_t Rwkv6ScratchFloatsPerRow(const RwkvTimeMixing& config) {
  const int64_t heads = config.d_inner / config.head_dim;
  return 3 * kMixtures6 * config.d_model + heads * kernels::PaddedLanes(config.head_dim) +
         RwkvHeads::ScratchFloatsPerRow(config);
}

std::unique_ptr<Mixer> BindRwkv6(const RwkvTimeMixing& config, const BlockPlace& place,
                                 TensorBinder* binder) {
  return std::make_unique<Rwkv6Mixer>(config, place.prefix, binder);
}

}  // namespace ssmd
