#include "engine/models/mixers/mlp.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/models/mixers/projection.h"

namespace ssmd {
namespace {

constexpr std::string_view kMlpMembers[] = {"type", "d_inner"};

struct MlpConfig {
  int64_t d_model = 0;
  int64_t d_inner = 0;
  bool gated = false;  // swiglu; else gelu
  bool split = false;  // fc1's halves are fc1 and gate, which come the other way round

  int64_t hidden() const { return gated ? 2 * d_inner : d_inner; }
};

class Mlp final : public Mixer {
 public:
  Mlp(const MlpConfig& config, const std::string& prefix, TensorBinder* binder) : config_(config) {
    const int64_t up = config.split ? config.d_inner : config.hidden();
    up_tensor_ = binder->RequireMatrix(prefix + "fc1.weight", up, config.d_model);
    if (config.split) {
      gate_tensor_ = binder->RequireMatrix(prefix + "gate.weight", up, config.d_model);
    }
    down_tensor_ = binder->RequireMatrix(prefix + "fc2.weight", config.d_model, config.d_inner);
    if (config.gated) return;
    up_bias_tensor_ = binder->Require(prefix + "fc1.bias", {config.d_inner});
    down_bias_tensor_ = binder->Require(prefix + "fc2.bias", {config.d_model});
  }

  void DeclareState(int /*layer*/, StateLayout* /*layout*/) override {}

  absl::Status Prepare(WeightLoader* loader) override {
    SSMD_ASSIGN_OR_RETURN(up_, LoadUp(loader));
    SSMD_ASSIGN_OR_RETURN(
        down_, Projection::Load(*down_tensor_, down_bias_tensor_, MatrixRole::kProjection, loader));
    up_tensor_ = gate_tensor_ = up_bias_tensor_ = down_tensor_ = down_bias_tensor_ = nullptr;
    return absl::OkStatus();
  }

  void Forward(const MixerStep& step) const override {
    step.norm.Run(step.device);
    float* hidden = step.scratch;
    step.device->MatMul(up_.Product(step, step.norm.out(), step.norm.out_stride(), hidden));
    if (config_.gated) {
      step.device->GatedRmsNorm(Gate(step, hidden));
    } else {
      step.device->Pointwise(Gelu(step, hidden));
    }
    step.device->MatMul(down_.AddToResidual(step, hidden, config_.hidden()));
  }

 private:
  absl::StatusOr<Projection> LoadUp(WeightLoader* loader) const {
    if (gate_tensor_ == nullptr) {
      return Projection::Load(*up_tensor_, up_bias_tensor_, MatrixRole::kProjection, loader);
    }
    SSMD_ASSIGN_OR_RETURN(std::vector<float> both, loader->Values(*gate_tensor_));
    SSMD_ASSIGN_OR_RETURN(const std::vector<float> fc1, loader->Values(*up_tensor_));
    both.insert(both.end(), fc1.begin(), fc1.end());
    SSMD_ASSIGN_OR_RETURN(kernels::PackedMatrix packed,
                          loader->Derived(up_tensor_->name, std::move(both), config_.hidden(),
                                          config_.d_model, MatrixRole::kProjection));
    return Projection::Of(std::move(packed), nullptr, loader);
  }

  // x·silu(gate), x and the gate side by side, in the place of x.
  kernels::GatedRmsNormParams Gate(const MixerStep& step, float* hidden) const {
    kernels::GatedRmsNormParams gate;
    gate.x = hidden;
    gate.x_stride = config_.hidden();
    gate.gate = hidden + config_.d_inner;
    gate.gate_stride = config_.hidden();
    gate.order = kernels::GateOrder::kGateOnly;
    gate.rows = step.rows();
    gate.cols = config_.d_inner;
    gate.out = hidden;
    gate.out_stride = config_.hidden();
    return gate;
  }

  kernels::PointwiseParams Gelu(const MixerStep& step, float* hidden) const {
    kernels::PointwiseParams gelu;
    gelu.function = kernels::PointwiseFunction::kGelu;
    gelu.x = hidden;
    gelu.x_stride = config_.d_inner;
    gelu.rows = step.rows();
    gelu.cols = config_.d_inner;
    gelu.out = hidden;
    gelu.out_stride = config_.d_inner;
    return gelu;
  }

  const MlpConfig& config_;
  const TensorInfo* up_tensor_ = nullptr;  // the tensors: until Prepare has read them
  const TensorInfo* gate_tensor_ = nullptr;
  const TensorInfo* up_bias_tensor_ = nullptr;
  const TensorInfo* down_tensor_ = nullptr;
  const TensorInfo* down_bias_tensor_ = nullptr;
  Projection up_, down_;
};

class MlpFamily final : public MixerFamily {
 public:
  explicit MlpFamily(const MlpConfig& config) : config_(config) {}

  std::string Describe() const override { return absl::StrCat("d_inner=", config_.d_inner); }
  int64_t scratch_floats_per_row() const override { return config_.hidden(); }
  std::unique_ptr<Mixer> Bind(const BlockPlace& place, TensorBinder* binder) const override {
    return std::make_unique<Mlp>(config_, place.prefix, binder);
  }

 private:
  const MlpConfig config_;
};

absl::StatusOr<std::unique_ptr<MixerFamily>> ParseMlp(const ModelConfig& config,
                                                      const ConfigObject& members, bool gated) {
  SSMD_RETURN_IF_ERROR(members.AllowOnly(kMlpMembers));
  MlpConfig mlp;
  mlp.d_model = config.d_model;
  SSMD_ASSIGN_OR_RETURN(mlp.d_inner, members.Int("d_inner", 1, kMaxInnerWidth));
  mlp.gated = gated;
  return std::make_unique<MlpFamily>(mlp);
}

}  // namespace

absl::StatusOr<std::unique_ptr<MixerFamily>> ParseSwiGlu(const ModelConfig& config,
                                                         const ConfigObject& members) {
  return ParseMlp(config, members, true);
}

absl::StatusOr<std::unique_ptr<MixerFamily>> ParseGeluMlp(const ModelConfig& config,
                                                          const ConfigObject& members) {
  return ParseMlp(config, members, false);
}

std::unique_ptr<MixerFamily> MakeSplitSwiGlu(int64_t d_model, int64_t d_inner) {
  MlpConfig mlp;
  mlp.d_model = d_model;
  mlp.d_inner = d_inner;
  mlp.gated = mlp.split = true;
  return std::make_unique<MlpFamily>(mlp);
}

}  // namespace ssmd
