#include "engine/models/mixers/mamba.h"

#include <utility>

#include "engine/base/status_macros.h"
#include "engine/models/mixers/layer_tensors.h"
#include "engine/models/mixers/mamba_config.h"
#include "engine/models/mixers/projection.h"

namespace ssmd {
namespace {

// The tensors of one layer in the checkpoint. Biases are null where the layer has none.
struct MambaTensors {
  const TensorInfo* in_proj = nullptr;        // (2 d_inner, d_model): x, then z
  const TensorInfo* in_proj_bias = nullptr;   // (2 d_inner)
  const TensorInfo* conv = nullptr;           // (d_inner, 1, conv_width)
  const TensorInfo* conv_bias = nullptr;      // (d_inner)
  const TensorInfo* x_proj = nullptr;         // (dt_rank + 2 state, d_inner): dt, B, C
  const TensorInfo* dt_proj = nullptr;        // (d_inner, dt_rank)
  const TensorInfo* dt_proj_bias = nullptr;   // (d_inner)
  DecayTensor decay;                          // (d_inner, state)
  const TensorInfo* d = nullptr;              // (d_inner)
  const TensorInfo* out_proj = nullptr;       // (d_model, d_inner)
  const TensorInfo* out_proj_bias = nullptr;  // (d_model)
};

MambaTensors BindTensors(const MambaConfig& config, const std::string& prefix,
                         TensorBinder* binder) {
  const int64_t inner = config.d_inner;
  const auto require = [&](const char* name, const std::vector<int64_t>& shape) {
    return binder->Require(prefix + name, shape);
  };
  const auto matrix = [&](const char* name, int64_t outputs, int64_t inputs) {
    return binder->RequireMatrix(prefix + name, outputs, inputs);
  };
  const bool bias = config.bias.value_or(binder->AnyEndsWith(".in_proj.bias"));
  const bool conv_bias = config.conv_bias.value_or(binder->AnyEndsWith(".conv1d.bias"));
  MambaTensors t;
  t.in_proj = matrix("in_proj.weight", 2 * inner, config.d_model);
  if (bias) t.in_proj_bias = require("in_proj.bias", {2 * inner});
  t.conv = require("conv1d.weight", {inner, 1, config.conv_width});
  if (conv_bias) t.conv_bias = require("conv1d.bias", {inner});
  t.x_proj = matrix("x_proj.weight", config.dt_rank + 2 * config.state_size, inner);
  t.dt_proj = matrix("dt_proj.weight", inner, config.dt_rank);
  t.dt_proj_bias = require("dt_proj.bias", {inner});
  t.decay = BindDecay(prefix, {inner, config.state_size}, binder);
  t.d = require("D", {inner});
  t.out_proj = matrix("out_proj.weight", config.d_model, inner);
  if (bias) t.out_proj_bias = require("out_proj.bias", {config.d_model});
  return t;
}

// The decay rates as (channel blocks, state, channels of a block): the order of the SSM state. The
// padding of the last block stays zero.
absl::StatusOr<kernels::Buffer> LoadA(const MambaConfig& config, const DecayTensor& decay,
                                      WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(const std::vector<float> rates, LoadDecay(decay, loader));
  constexpr int64_t kBlock = kernels::kChannelBlock;
  std::vector<float> a(
      static_cast<size_t>(kernels::PaddedChannels(config.d_inner) * config.state_size));
  for (int64_t c = 0; c < config.d_inner; ++c) {
    for (int64_t n = 0; n < config.state_size; ++n) {
      const int64_t block = c / kBlock;
      a[static_cast<size_t>((block * config.state_size + n) * kBlock + c % kBlock)] =
          rates[static_cast<size_t>(c * config.state_size + n)];
    }
  }
  return loader->Upload(a, decay.tensor->name);
}

class MambaMixer final : public Mixer {
 public:
  MambaMixer(const MambaConfig& config, MambaTensors tensors)
      : config_(config), tensors_(tensors) {}

  void DeclareState(int layer, StateLayout* layout) override;
  absl::Status Prepare(WeightLoader* loader) override;
  void Forward(const MixerStep& step) const override;

 private:
  // Activations of a step, in the scratch memory.
  struct Scratch {
    float* xz;   // (rows, 2 d_inner)
    float* u;    // (rows, d_inner): after convolution; then y
    float* dbc;  // (rows, dt_rank + 2 state)
    float* dt;   // (rows, d_inner)
  };
  int64_t dbc_width() const { return config_.dt_rank + 2 * config_.state_size; }
  Scratch Divide(const MixerStep& step) const;

  kernels::ConvSiluParams Convolution(const MixerStep& step, const Scratch& s) const;
  kernels::RmsNormParams Norm(const MixerStep& step, float* x, int64_t cols) const;
  kernels::SelectiveScanParams Recurrence(const MixerStep& step, const Scratch& s) const;

  const MambaConfig& config_;
  MambaTensors tensors_;  // until Prepare has read them
  StatePlace ring_;
  StatePlace ssm_;

  Projection in_proj_, x_proj_, dt_proj_, out_proj_;
  kernels::Buffer conv_, conv_bias_, a_, d_;
};

void MambaMixer::DeclareState(int layer, StateLayout* layout) {
  ring_ =
      layout->Add(layer, "conv", StateKind::kConvRing, {config_.conv_width - 1, config_.d_inner});
  ssm_ = layout->Add(layer, "ssm", StateKind::kSsm,
                     {kernels::PaddedChannels(config_.d_inner) / kernels::kChannelBlock,
                      config_.state_size, kernels::kChannelBlock});
}

absl::Status MambaMixer::Prepare(WeightLoader* loader) {
  const MambaTensors& t = tensors_;
  SSMD_ASSIGN_OR_RETURN(
      in_proj_, Projection::Load(*t.in_proj, t.in_proj_bias, MatrixRole::kProjection, loader));
  SSMD_ASSIGN_OR_RETURN(conv_, LoadConvTaps(*t.conv, loader));
  SSMD_ASSIGN_OR_RETURN(conv_bias_, LoadOptional(t.conv_bias, loader));
  SSMD_ASSIGN_OR_RETURN(x_proj_,
                        Projection::Load(*t.x_proj, nullptr, MatrixRole::kSelection, loader));
  SSMD_ASSIGN_OR_RETURN(
      dt_proj_, Projection::Load(*t.dt_proj, t.dt_proj_bias, MatrixRole::kSelection, loader));
  SSMD_ASSIGN_OR_RETURN(a_, LoadA(config_, t.decay, loader));
  SSMD_ASSIGN_OR_RETURN(d_, loader->Vector(*t.d));
  SSMD_ASSIGN_OR_RETURN(
      out_proj_, Projection::Load(*t.out_proj, t.out_proj_bias, MatrixRole::kProjection, loader));
  tensors_ = MambaTensors();
  return absl::OkStatus();
}

MambaMixer::Scratch MambaMixer::Divide(const MixerStep& step) const {
  Scratch s;
  s.xz = step.scratch;
  s.u = s.xz + step.rows() * 2 * config_.d_inner;
  s.dt = s.u + step.rows() * config_.d_inner;
  s.dbc = s.dt + step.rows() * config_.d_inner;
  return s;
}

void MambaMixer::Forward(const MixerStep& step) const {
  const Scratch s = Divide(step);
  kernels::MambaLayerParams layer;
  layer.norm = step.norm.AsPart(step.device);
  layer.in_proj = in_proj_.Product(step, step.norm.out(), step.norm.out_stride(), s.xz);
  layer.conv = Convolution(step, s);
  layer.x_proj = x_proj_.Product(step, s.u, config_.d_inner, s.dbc);
  if (config_.dt_bc_norm_eps) {
    layer.dt_norm = Norm(step, s.dbc, config_.dt_rank);
    layer.b_norm = Norm(step, s.dbc + config_.dt_rank, config_.state_size);
    layer.c_norm = Norm(step, s.dbc + config_.dt_rank + config_.state_size, config_.state_size);
  }
  layer.dt_proj = dt_proj_.Product(step, s.dbc, dbc_width(), s.dt);
  layer.scan = Recurrence(step, s);
  layer.out_proj = out_proj_.AddToResidual(step, s.u, config_.d_inner);
  step.device->MambaLayer(layer);
}

kernels::ConvSiluParams MambaMixer::Convolution(const MixerStep& step, const Scratch& s) const {
  kernels::ConvSiluParams conv;
  conv.segments = step.indices.segments;
  conv.segment_count = step.indices.segment_count;
  conv.rows = step.rows();
  conv.channels = config_.d_inner;
  conv.width = config_.conv_width;
  conv.x = s.xz;
  conv.x_stride = 2 * config_.d_inner;
  conv.weight = conv_.as<float>();
  conv.bias = conv_bias_.as<float>();
  conv.ring = step.pool->field(ring_);
  conv.out = s.u;
  conv.out_stride = config_.d_inner;
  return conv;
}

kernels::RmsNormParams MambaMixer::Norm(const MixerStep& step, float* x, int64_t cols) const {
  kernels::RmsNormParams norm;
  norm.x = x;
  norm.x_stride = dbc_width();
  norm.eps = static_cast<float>(*config_.dt_bc_norm_eps);
  norm.rows = step.rows();
  norm.cols = cols;
  norm.out = x;
  norm.out_stride = dbc_width();
  return norm;
}

kernels::SelectiveScanParams MambaMixer::Recurrence(const MixerStep& step, const Scratch& s) const {
  kernels::SelectiveScanParams scan;
  scan.segments = step.indices.segments;
  scan.segment_count = step.indices.segment_count;
  scan.rows = step.rows();
  scan.channels = config_.d_inner;
  scan.state_size = config_.state_size;
  scan.x = s.u;
  scan.x_stride = config_.d_inner;
  scan.dt = s.dt;
  scan.dt_stride = config_.d_inner;
  scan.b = s.dbc + config_.dt_rank;
  scan.b_stride = dbc_width();
  scan.c = s.dbc + config_.dt_rank + config_.state_size;
  scan.c_stride = dbc_width();
  scan.z = s.xz + config_.d_inner;
  scan.z_stride = 2 * config_.d_inner;
  scan.a = a_.as<float>();
  scan.d = d_.as<float>();
  scan.state = step.pool->field(ssm_);
  scan.y = s.u;
  scan.y_stride = config_.d_inner;
  return scan;
}

class MambaFamily final : public MixerFamily {
 public:
  explicit MambaFamily(const MambaConfig& config) : config_(config) {}

  std::string Describe() const override { return config_.Describe(); }
  int64_t scratch_floats_per_row() const override {
    return 4 * config_.d_inner + config_.dt_rank + 2 * config_.state_size;
  }
  std::unique_ptr<Mixer> Bind(const BlockPlace& place, TensorBinder* binder) const override {
    return std::make_unique<MambaMixer>(config_, BindTensors(config_, place.prefix, binder));
  }

 private:
  const MambaConfig config_;
};

absl::StatusOr<std::unique_ptr<MixerFamily>> Parse(const ModelConfig& config,
                                                   const ConfigObject& root, bool falcon) {
  SSMD_ASSIGN_OR_RETURN(const MambaConfig mamba, ParseMambaConfig(config, root, falcon));
  return std::make_unique<MambaFamily>(mamba);
}

}  // namespace

absl::StatusOr<std::unique_ptr<MixerFamily>> ParseMamba(const ModelConfig& config,
                                                        const ConfigObject& root) {
  return Parse(config, root, false);
}

absl::StatusOr<std::unique_ptr<MixerFamily>> ParseFalconMamba(const ModelConfig& config,
                                                              const ConfigObject& root) {
  return Parse(config, root, true);
}

}  // namespace ssmd
