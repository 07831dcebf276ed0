#include "engine/models/mixers/rwkv_heads.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/base/status_macros.h"

namespace ssmd {
namespace {

constexpr const char* kHeadPathNames[] = {"receptance.weight", "key.weight", "value.weight"};

// What is there of RWKV-5.1's bonus (one a head, its logarithm or itself) and that of later ones
// (one a channel).
struct BonusTensor {
  std::string name;
  bool per_head;
  bool is_log;
};
BonusTensor FindBonus(const std::string& prefix, const TensorBinder& binder) {
  if (binder.Has(prefix + "time_first.factor")) return {prefix + "time_first.factor", true, false};
  if (binder.Has(prefix + "time_first")) return {prefix + "time_first", true, true};
  return {prefix + "time_faaaa", false, false};
}

}  // namespace

RwkvHeads::RwkvHeads(const RwkvTimeMixing& config, const std::string& prefix, bool has_gate,
                     TensorBinder* binder)
    : config_(config) {
  for (int i = 0; i < kPaths; ++i) {
    tensors_.path[i] =
        binder->RequireMatrix(prefix + kHeadPathNames[i], config.d_inner, config.d_model);
  }
  if (has_gate) {
    tensors_.gate = binder->RequireMatrix(prefix + "gate.weight", config.d_inner, config.d_model);
  }
  const BonusTensor bonus = FindBonus(prefix, *binder);
  tensors_.bonus = BindFlat(bonus.name, bonus.per_head ? heads() : config.d_inner, binder);
  tensors_.bonus_is_log = bonus.is_log;
  tensors_.norm_weight = BindFlat(prefix + "ln_x.weight", config.d_inner, binder);
  tensors_.norm_bias = BindFlat(prefix + "ln_x.bias", config.d_inner, binder);
  tensors_.output = binder->RequireMatrix(prefix + "output.weight", config.d_model, config.d_inner);
}

void RwkvHeads::DeclareState(int layer, StateLayout* layout) {
  wkv_ = layout->Add(layer, "wkv", StateKind::kLinear, {heads(), padded_dim(), padded_dim()});
}

std::vector<float> RwkvHeads::PadChannels(const std::vector<float>& values) const {
  const bool per_head = static_cast<int64_t>(values.size()) == heads();
  std::vector<float> padded(static_cast<size_t>(this->padded()));
  for (int64_t head = 0; head < heads(); ++head) {
    for (int64_t i = 0; i < config_.head_dim; ++i) {
      const int64_t from = per_head ? head : head * config_.head_dim + i;
      padded[static_cast<size_t>(head * padded_dim() + i)] = values[static_cast<size_t>(from)];
    }
  }
  return padded;
}

std::vector<float> RwkvHeads::PadRows(const std::vector<float>& values) const {
  const int64_t width = static_cast<int64_t>(values.size()) / config_.d_inner;
  std::vector<float> padded(static_cast<size_t>(this->padded() * width));
  const int64_t head_elements = config_.head_dim * width;
  for (int64_t head = 0; head < heads(); ++head) {
    std::copy_n(values.begin() + head * head_elements, head_elements,
                padded.begin() + head * padded_dim() * width);
  }
  return padded;
}

absl::StatusOr<Projection> RwkvHeads::LoadPath(const TensorInfo& tensor,
                                               WeightLoader* loader) const {
  if (padded_dim() == config_.head_dim) {
    return Projection::Load(tensor, nullptr, MatrixRole::kProjection, loader);
  }
  SSMD_ASSIGN_OR_RETURN(const std::vector<float> values, loader->Values(tensor));
  SSMD_ASSIGN_OR_RETURN(kernels::PackedMatrix packed,
                        loader->Derived(tensor.name, PadRows(values), padded(), config_.d_model,
                                        MatrixRole::kProjection));
  return Projection::Of(std::move(packed), nullptr, loader);
}

absl::StatusOr<std::vector<float>> RwkvHeads::LoadBonus(WeightLoader* loader) const {
  if (!tensors_.bonus_is_log) return loader->Values(*tensors_.bonus);
  return LoadMapped(
      *tensors_.bonus, [](double x) { return std::exp(x); }, loader);
}

absl::Status RwkvHeads::Prepare(const std::vector<float>& decay, WeightLoader* loader) {
  for (int i = 0; i < kPaths; ++i) {
    SSMD_ASSIGN_OR_RETURN(path_[i], LoadPath(*tensors_.path[i], loader));
  }
  if (tensors_.gate != nullptr) {
    SSMD_ASSIGN_OR_RETURN(
        gate_, Projection::Load(*tensors_.gate, nullptr, MatrixRole::kProjection, loader));
  }
  SSMD_ASSIGN_OR_RETURN(const std::vector<float> bonus, LoadBonus(loader));
  SSMD_ASSIGN_OR_RETURN(bonus_, loader->Upload(PadChannels(bonus), tensors_.bonus->name));
  SSMD_ASSIGN_OR_RETURN(decay_, loader->Upload(decay, "time_decay"));
  SSMD_ASSIGN_OR_RETURN(norm_weight_, loader->Vector(*tensors_.norm_weight));
  SSMD_ASSIGN_OR_RETURN(norm_bias_, loader->Vector(*tensors_.norm_bias));
  SSMD_ASSIGN_OR_RETURN(
      output_, Projection::Load(*tensors_.output, nullptr, MatrixRole::kProjection, loader));
  tensors_ = {};
  return absl::OkStatus();
}

int64_t RwkvHeads::ScratchFloatsPerRow(const RwkvTimeMixing& config) {
  const int64_t heads = config.d_inner / config.head_dim;
  return (kPaths + 1) * heads * kernels::PaddedLanes(config.head_dim) + config.d_inner;
}

void RwkvHeads::Forward(const MixerStep& step, const Inputs& inputs, ScratchPieces* scratch) const {
  float* paths[kPaths];
  for (int i = 0; i < kPaths; ++i) {
    paths[i] = scratch->Take(padded());
    step.device->MatMul(path_[i].Product(step, inputs.path[i], config_.d_model, paths[i]));
  }
  float* y = scratch->Take(padded());
  step.device->Wkv6(Recurrence(step, inputs, paths, y));
  float* out = paths[0];
  NormHeads(step, y, out);
  if (inputs.gate != nullptr) {
    float* gate = scratch->Take(config_.d_inner);
    step.device->MatMul(gate_.Product(step, inputs.gate, config_.d_model, gate));
    kernels::GatedRmsNormParams gated;
    gated.x = out;
    gated.x_stride = config_.d_inner;
    gated.gate = gate;
    gated.gate_stride = config_.d_inner;
    gated.order = kernels::GateOrder::kGateOnly;
    gated.rows = step.rows();
    gated.cols = config_.d_inner;
    gated.out = out;
    gated.out_stride = config_.d_inner;
    step.device->GatedRmsNorm(gated);
  }
  step.device->MatMul(output_.AddToResidual(step, out, config_.d_inner));
}

kernels::Wkv6Params RwkvHeads::Recurrence(const MixerStep& step, const Inputs& inputs,
                                          float* const* paths, float* y) const {
  kernels::Wkv6Params wkv;
  wkv.segments = step.indices.segments;
  wkv.segment_count = step.indices.segment_count;
  wkv.rows = step.rows();
  wkv.heads = heads();
  wkv.head_dim = padded_dim();
  wkv.r = paths[0];
  wkv.k = paths[1];
  wkv.v = paths[2];
  wkv.x_stride = padded();
  wkv.decay = decay_.as<float>();
  wkv.decay_row = inputs.decay_row;
  wkv.decay_stride = padded();
  wkv.bonus = bonus_.as<float>();
  wkv.state = step.pool->field(wkv_);
  wkv.y = y;
  wkv.y_stride = padded();
  return wkv;
}

// All heads at once, or, where padding lies between them, one after another.
void RwkvHeads::NormHeads(const MixerStep& step, const float* y, float* out) const {
  const bool at_once = padded_dim() == config_.head_dim;
  kernels::GroupNormParams norm;
  norm.x_stride = padded();
  norm.eps = static_cast<float>(config_.group_eps);
  norm.rows = step.rows();
  norm.cols = at_once ? config_.d_inner : config_.head_dim;
  norm.groups = at_once ? heads() : 1;
  norm.out_stride = config_.d_inner;
  for (int64_t head = 0; head < (at_once ? 1 : heads()); ++head) {
    norm.x = y + head * padded_dim();
    norm.weight = norm_weight_.as<float>() + head * config_.head_dim;
    norm.bias = norm_bias_.as<float>() + head * config_.head_dim;
    norm.out = out + head * config_.head_dim;
    step.device->GroupNorm(norm);
  }
}

}  // namespace ssmd
