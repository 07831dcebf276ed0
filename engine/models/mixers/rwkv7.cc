#include "engine/models/mixers/rwkv7.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/models/mixers/projection.h"
#include "engine/models/mixers/rwkv_parts.h"

namespace ssmd {
namespace {

// What the shift mixes an input for, in this order.
enum Mixture { kR, kW, kK, kV, kA, kG, kMixtures7 };
constexpr const char* kMixNames7[kMixtures7] = {"x_r", "x_w", "x_k", "x_v", "x_a", "x_g"};

// What a matrix of low rank makes of a mixture: bias + from(f(to(x))).
struct LowRankTensors {
  LowRankMatrix to, from;
  const TensorInfo* bias = nullptr;  // null where it has none
};
struct LowRank {
  Projection to, from;
  int64_t rank = 0;
};

LowRankTensors BindLowRank7(const RwkvTimeMixing& config, const std::string& prefix, bool has_bias,
                            TensorBinder* binder) {
  LowRankTensors t;
  t.to = BindToRank(prefix + "1", config.d_model, 1, binder);
  t.from = BindFromRank(prefix + "2", t.to.outputs, config.d_inner, binder);
  if (has_bias) t.bias = BindFlat(prefix + "0", config.d_inner, binder);
  return t;
}

absl::StatusOr<LowRank> LoadLowRank7(const LowRankTensors& t, MatrixRole role,
                                     WeightLoader* loader) {
  LowRank low_rank;
  low_rank.rank = t.to.outputs;
  SSMD_ASSIGN_OR_RETURN(low_rank.to, LoadLowRank(t.to, nullptr, role, loader));
  SSMD_ASSIGN_OR_RETURN(low_rank.from, LoadLowRank(t.from, t.bias, role, loader));
  return low_rank;
}

struct Rwkv7Tensors {
  const TensorInfo* mix[kMixtures7];
  const TensorInfo *receptance, *key, *value, *output;  // (d_model, d_model) each
  LowRankTensors w, a, g;
  std::optional<LowRankTensors> v;  // of all blocks but the first
  const TensorInfo *k_k, *k_a, *r_k, *norm_weight, *norm_bias;
};

Rwkv7Tensors BindTensors7(const RwkvTimeMixing& config, const BlockPlace& place,
                          TensorBinder* binder) {
  const std::string& prefix = place.prefix;
  const auto matrix = [&](const char* name) {
    return binder->RequireMatrix(prefix + name, config.d_inner, config.d_model);
  };
  const auto vector = [&](const char* name) {
    return BindFlat(prefix + name, config.d_inner, binder);
  };
  Rwkv7Tensors t = {};
  for (int i = 0; i < kMixtures7; ++i)
    t.mix[i] = BindFlat(prefix + kMixNames7[i], config.d_model, binder);
  t.receptance = matrix("receptance.weight");
  t.key = matrix("key.weight");
  t.value = matrix("value.weight");
  t.output = matrix("output.weight");
  t.w = BindLowRank7(config, prefix + "w", true, binder);
  t.a = BindLowRank7(config, prefix + "a", true, binder);
  t.g = BindLowRank7(config, prefix + "g", false, binder);
  if (place.first) {  // files may have them there, of no use
    for (const char* name : {"v0", "v1", "v2", "v1.weight", "v2.weight"}) {
      binder->Ignore(prefix + name);
    }
  } else {
    t.v = BindLowRank7(config, prefix + "v", true, binder);
  }
  t.k_k = vector("k_k");
  t.k_a = vector("k_a");
  t.r_k = vector("r_k");
  if (t.r_k != nullptr && t.r_k->shape.size() > 1 && t.r_k->shape.back() != config.head_dim) {
    binder->AddProblem(prefix + "r_k", absl::StrCat("has heads of ", t.r_k->shape.back(),
                                                    ", and head_dim is ", config.head_dim));
  }
  t.norm_weight = vector("ln_x.weight");
  t.norm_bias = vector("ln_x.bias");
  return t;
}

class Rwkv7Mixer final : public Mixer {
 public:
  Rwkv7Mixer(const RwkvTimeMixing& config, Rwkv7Tensors tensors)
      : config_(config), tensors_(tensors) {}

  void DeclareState(int layer, StateLayout* layout) override;
  absl::Status Prepare(WeightLoader* loader) override;
  void Forward(const MixerStep& step) const override;

 private:
  absl::Status PrepareMatrices(WeightLoader* loader);
  // Operands of the recurrence, (rows, d_inner) each.
  struct Operands {
    float *r, *w, *k, *v, *a, *g, *v_gate;
  };
  Operands Project(const MixerStep& step, float* const* mixed, ScratchPieces* scratch) const;
  kernels::Wkv7Params Recurrence(const MixerStep& step, const Operands& o, float* y) const;

  const RwkvTimeMixing& config_;
  std::optional<Rwkv7Tensors> tensors_;  // until Prepare has read them
  StatePlace shift_, wkv_;

  kernels::Buffer mix_[kMixtures7];
  Projection receptance_, key_, value_, output_;
  LowRank w_, a_, g_;
  std::optional<LowRank> v_;  // absent in the first block, whose values the others are drawn to
  kernels::Buffer k_k_, k_a_, r_k_, norm_weight_, norm_bias_;
};

void Rwkv7Mixer::DeclareState(int layer, StateLayout* layout) {
  shift_ = layout->Add(layer, "shift", StateKind::kTokenShift, {config_.d_model});
  wkv_ = layout->Add(layer, "wkv", StateKind::kLinear,
                     {config_.d_inner / config_.head_dim, config_.head_dim, config_.head_dim});
}

absl::Status Rwkv7Mixer::PrepareMatrices(WeightLoader* loader) {
  const auto load = [&](const TensorInfo* tensor) {
    return Projection::Load(*tensor, nullptr, MatrixRole::kProjection, loader);
  };
  const Rwkv7Tensors& t = *tensors_;
  SSMD_ASSIGN_OR_RETURN(receptance_, load(t.receptance));
  SSMD_ASSIGN_OR_RETURN(key_, load(t.key));
  SSMD_ASSIGN_OR_RETURN(value_, load(t.value));
  SSMD_ASSIGN_OR_RETURN(output_, load(t.output));
  SSMD_ASSIGN_OR_RETURN(w_, LoadLowRank7(t.w, MatrixRole::kSelection, loader));
  SSMD_ASSIGN_OR_RETURN(a_, LoadLowRank7(t.a, MatrixRole::kSelection, loader));
  SSMD_ASSIGN_OR_RETURN(g_, LoadLowRank7(t.g, MatrixRole::kProjection, loader));
  if (!t.v) return absl::OkStatus();
  SSMD_ASSIGN_OR_RETURN(v_, LoadLowRank7(*t.v, MatrixRole::kProjection, loader));
  return absl::OkStatus();
}

absl::Status Rwkv7Mixer::Prepare(WeightLoader* loader) {
  const Rwkv7Tensors& t = *tensors_;
  for (int i = 0; i < kMixtures7; ++i) {
    SSMD_ASSIGN_OR_RETURN(mix_[i], LoadShiftWeight(*t.mix[i], ShiftWeight::kOfBefore, loader));
  }
  SSMD_RETURN_IF_ERROR(PrepareMatrices(loader));
  SSMD_ASSIGN_OR_RETURN(k_k_, loader->Vector(*t.k_k));
  SSMD_ASSIGN_OR_RETURN(k_a_, loader->Vector(*t.k_a));
  SSMD_ASSIGN_OR_RETURN(r_k_, loader->Vector(*t.r_k));
  SSMD_ASSIGN_OR_RETURN(norm_weight_, loader->Vector(*t.norm_weight));
  SSMD_ASSIGN_OR_RETURN(norm_bias_, loader->Vector(*t.norm_bias));
  tensors_.reset();
  return absl::OkStatus();
}

void Rwkv7Mixer::Forward(const MixerStep& step) const {
  step.norm.Run(step.device);
  ScratchPieces scratch(step);
  kernels::TokenShiftParams shift = ShiftOf(step, config_.d_model, shift_);
  float* mixed[kMixtures7];
  for (int i = 0; i < kMixtures7; ++i) {
    mixed[i] = scratch.Take(config_.d_model);
    AddMixture(mix_[i], nullptr, mixed[i], &shift);
  }
  step.device->TokenShift(shift);
  const Operands operands = Project(step, mixed, &scratch);
  float* y = mixed[0];
  step.device->Wkv7(Recurrence(step, operands, y));
  step.device->MatMul(output_.AddToResidual(step, y, config_.d_inner));
}

Rwkv7Mixer::Operands Rwkv7Mixer::Project(const MixerStep& step, float* const* mixed,
                                         ScratchPieces* scratch) const {
  using kernels::PointwiseFunction;
  const int64_t width = config_.d_model;
  float* hidden = scratch->Take(width);  // a rank is no larger
  const auto project = [&](const Projection& matrix, Mixture of, float* out) {
    step.device->MatMul(matrix.Product(step, mixed[of], width, out));
    return out;
  };
  const auto low_rank = [&](const LowRank& matrices, Mixture of,
                            std::optional<PointwiseFunction> function) {
    project(matrices.to, of, hidden);
    if (function) ApplyInPlace(step, *function, matrices.rank, hidden);
    float* out = scratch->Take(config_.d_inner);
    step.device->MatMul(matrices.from.Product(step, hidden, matrices.rank, out));
    return out;
  };
  Operands o = {};
  o.r = project(receptance_, kR, scratch->Take(config_.d_inner));
  o.k = project(key_, kK, scratch->Take(config_.d_inner));
  o.v = project(value_, kV, v_ ? scratch->Take(config_.d_inner) : step.shared);
  o.w = low_rank(w_, kW, PointwiseFunction::kTanh);
  o.a = low_rank(a_, kA, std::nullopt);
  o.g = low_rank(g_, kG, PointwiseFunction::kSigmoid);
  if (v_) o.v_gate = low_rank(*v_, kV, std::nullopt);
  return o;
}

kernels::Wkv7Params Rwkv7Mixer::Recurrence(const MixerStep& step, const Operands& o,
                                           float* y) const {
  kernels::Wkv7Params wkv;
  wkv.segments = step.indices.segments;
  wkv.segment_count = step.indices.segment_count;
  wkv.rows = step.rows();
  wkv.heads = config_.d_inner / config_.head_dim;
  wkv.head_dim = config_.head_dim;
  wkv.r = o.r;
  wkv.w_raw = o.w;
  wkv.k = o.k;
  wkv.v = o.v;
  wkv.a_raw = o.a;
  wkv.g = o.g;
  wkv.v_gate = o.v_gate;
  wkv.v_first = v_ ? step.shared : nullptr;
  wkv.x_stride = config_.d_inner;
  wkv.k_k = k_k_.as<float>();
  wkv.k_a = k_a_.as<float>();
  wkv.r_k = r_k_.as<float>();
  wkv.norm_weight = norm_weight_.as<float>();
  wkv.norm_bias = norm_bias_.as<float>();
  wkv.norm_eps = static_cast<float>(config_.group_eps);
  wkv.state = step.pool->field(wkv_);
  wkv.y = y;
  wkv.y_stride = config_.d_inner;
  return wkv;
}

}  // namespace

int64_t Rwkv7ScratchFloatsPerRow(const RwkvTimeMixing& config) {
  return (kMixtures7 + 1) * config.d_model + 7 * config.d_inner;
}

int64_t Rwkv7SharedFloatsPerRow(const RwkvTimeMixing& config) { return config.d_inner; }

std::unique_ptr<Mixer> BindRwkv7(const RwkvTimeMixing& config, const BlockPlace& place,
                                 TensorBinder* binder) {
  return std::make_unique<Rwkv7Mixer>(config, BindTensors7(config, place, binder));
}

}  // namespace ssmd
