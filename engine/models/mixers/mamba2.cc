#include "engine/models/mixers/mamba2.h"

#include <utility>

#include "engine/base/status_macros.h"
#include "engine/models/mixers/layer_tensors.h"
#include "engine/models/mixers/mamba2_config.h"
#include "engine/models/mixers/projection.h"

namespace ssmd {
namespace {

// The tensors of one layer in the checkpoint; null where the layer has none.
struct Mamba2Tensors {
  const TensorInfo* in_proj = nullptr;        // (projection, d_model): z, x, B, C, dt
  const TensorInfo* in_proj_bias = nullptr;   // (projection)
  const TensorInfo* conv = nullptr;           // (conv_channels, 1, conv_width): over x, B, C
  const TensorInfo* conv_bias = nullptr;      // (conv_channels)
  const TensorInfo* dt_bias = nullptr;        // (heads)
  DecayTensor decay;                          // (heads)
  const TensorInfo* d = nullptr;              // (heads), or (d_inner)
  const TensorInfo* norm = nullptr;           // (d_inner)
  const TensorInfo* out_proj = nullptr;       // (d_model, d_inner)
  const TensorInfo* out_proj_bias = nullptr;  // (d_model)
};

Mamba2Tensors BindTensors(const Mamba2Config& config, const std::string& prefix,
                          TensorBinder* binder) {
  const int64_t inner = config.d_inner();
  const auto require = [&](const char* name, const std::vector<int64_t>& shape) {
    return binder->Require(prefix + name, shape);
  };
  const auto matrix = [&](const char* name, int64_t outputs, int64_t inputs) {
    return binder->RequireMatrix(prefix + name, outputs, inputs);
  };
  const bool bias = config.bias.value_or(binder->AnyEndsWith(".in_proj.bias"));
  const bool conv_bias = config.conv_bias.value_or(binder->AnyEndsWith(".conv1d.bias"));
  Mamba2Tensors t;
  t.in_proj = matrix("in_proj.weight", config.projection(), config.d_model);
  if (bias) t.in_proj_bias = require("in_proj.bias", {config.projection()});
  t.conv = require("conv1d.weight", {config.conv_channels(), 1, config.conv_width});
  if (conv_bias) t.conv_bias = require("conv1d.bias", {config.conv_channels()});
  t.dt_bias = require("dt_bias", {config.heads});
  t.decay = BindDecay(prefix, {config.heads}, binder);
  t.d = require("D", {config.d_per_channel ? inner : config.heads});
  if (config.gate_order != kernels::GateOrder::kGateOnly) {
    t.norm = require("norm.weight", {inner});
  }
  t.out_proj = matrix("out_proj.weight", config.d_model, inner);
  if (bias) t.out_proj_bias = require("out_proj.bias", {config.d_model});
  return t;
}

absl::StatusOr<kernels::Buffer> LoadRates(const DecayTensor& decay, WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(const std::vector<float> rates, LoadDecay(decay, loader));
  return loader->Upload(rates, decay.tensor->name);
}

// D of every channel: that of its head where the checkpoint has one a head.
absl::StatusOr<kernels::Buffer> LoadD(const Mamba2Config& config, const TensorInfo& d,
                                      WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(const std::vector<float> values, loader->Values(d));
  if (config.d_per_channel) return loader->Upload(values, d.name);
  std::vector<float> channels;
  channels.reserve(static_cast<size_t>(config.d_inner()));
  for (const float value : values) {
    channels.insert(channels.end(), static_cast<size_t>(config.head_dim), value);
  }
  return loader->Upload(channels, d.name);
}

class Mamba2Mixer final : public Mixer {
 public:
  Mamba2Mixer(const Mamba2Config& config, Mamba2Tensors tensors)
      : config_(config), tensors_(tensors) {}

  void DeclareState(int layer, StateLayout* layout) override;
  absl::Status Prepare(WeightLoader* loader) override;
  void Forward(const MixerStep& step) const override;

 private:
  // Activations of a step, in the scratch memory.
  struct Scratch {
    float* projected;  // (rows, projection): z, x, B, C, dt
    float* xbc;        // (rows, conv_channels): x, B, C after convolution; then y in x's place
  };

  kernels::ConvSiluParams Convolution(const MixerStep& step, const Scratch& s) const;
  kernels::SsdScanParams Recurrence(const MixerStep& step, const Scratch& s) const;
  kernels::GatedRmsNormParams GatedNorm(const MixerStep& step, const Scratch& s) const;

  const Mamba2Config& config_;
  Mamba2Tensors tensors_;  // until Prepare has read them
  StatePlace ring_;
  StatePlace ssm_;

  Projection in_proj_, out_proj_;
  kernels::Buffer conv_, conv_bias_, dt_bias_, a_, d_, norm_;
};

void Mamba2Mixer::DeclareState(int layer, StateLayout* layout) {
  ring_ = layout->Add(layer, "conv", StateKind::kConvRing,
                      {config_.conv_width - 1, config_.conv_channels()});
  ssm_ = layout->Add(layer, "ssm", StateKind::kSsm,
                     {config_.heads, config_.state_size, kernels::PaddedLanes(config_.head_dim)});
}

absl::Status Mamba2Mixer::Prepare(WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(in_proj_, Projection::Load(*tensors_.in_proj, tensors_.in_proj_bias,
                                                   MatrixRole::kProjection, loader));
  SSMD_ASSIGN_OR_RETURN(conv_, LoadConvTaps(*tensors_.conv, loader));
  SSMD_ASSIGN_OR_RETURN(conv_bias_, LoadOptional(tensors_.conv_bias, loader));
  SSMD_ASSIGN_OR_RETURN(dt_bias_, loader->Vector(*tensors_.dt_bias));
  SSMD_ASSIGN_OR_RETURN(a_, LoadRates(tensors_.decay, loader));
  SSMD_ASSIGN_OR_RETURN(d_, LoadD(config_, *tensors_.d, loader));
  SSMD_ASSIGN_OR_RETURN(norm_, LoadOptional(tensors_.norm, loader));
  SSMD_ASSIGN_OR_RETURN(out_proj_, Projection::Load(*tensors_.out_proj, tensors_.out_proj_bias,
                                                    MatrixRole::kProjection, loader));
  tensors_ = Mamba2Tensors();
  return absl::OkStatus();
}

void Mamba2Mixer::Forward(const MixerStep& step) const {
  Scratch s;
  s.projected = step.scratch;
  s.xbc = s.projected + step.rows() * config_.projection();

  kernels::Mamba2LayerParams layer;
  layer.norm = step.norm.AsPart(step.device);
  layer.in_proj = in_proj_.Product(step, step.norm.out(), step.norm.out_stride(), s.projected);
  layer.conv = Convolution(step, s);
  layer.scan = Recurrence(step, s);
  layer.gated_norm = GatedNorm(step, s);
  layer.out_proj = out_proj_.AddToResidual(step, s.xbc, config_.conv_channels());
  step.device->Mamba2Layer(layer);
}

kernels::ConvSiluParams Mamba2Mixer::Convolution(const MixerStep& step, const Scratch& s) const {
  kernels::ConvSiluParams conv;
  conv.segments = step.indices.segments;
  conv.segment_count = step.indices.segment_count;
  conv.rows = step.rows();
  conv.channels = config_.conv_channels();
  conv.width = config_.conv_width;
  conv.x = s.projected + config_.d_inner();
  conv.x_stride = config_.projection();
  conv.weight = conv_.as<float>();
  conv.bias = conv_bias_.as<float>();
  conv.ring = step.pool->field(ring_);
  conv.out = s.xbc;
  conv.out_stride = config_.conv_channels();
  return conv;
}

kernels::SsdScanParams Mamba2Mixer::Recurrence(const MixerStep& step, const Scratch& s) const {
  kernels::SsdScanParams scan;
  scan.segments = step.indices.segments;
  scan.segment_count = step.indices.segment_count;
  scan.rows = step.rows();
  scan.heads = config_.heads;
  scan.head_dim = config_.head_dim;
  scan.groups = config_.groups;
  scan.state_size = config_.state_size;
  scan.x = s.xbc;
  scan.dt = s.projected + config_.d_inner() + config_.conv_channels();
  scan.dt_stride = config_.projection();
  scan.b = s.xbc + config_.d_inner();
  scan.c = scan.b + config_.groups * config_.state_size;
  scan.x_stride = scan.b_stride = scan.c_stride = config_.conv_channels();
  scan.dt_bias = dt_bias_.as<float>();
  scan.dt_min = static_cast<float>(config_.dt_min);
  scan.dt_max = static_cast<float>(config_.dt_max);
  scan.a = a_.as<float>();
  scan.d = d_.as<float>();
  scan.state = step.pool->field(ssm_);
  scan.y = s.xbc;
  scan.y_stride = config_.conv_channels();
  scan.chunk_scratch = step.chunk_scratch;
  return scan;
}

kernels::GatedRmsNormParams Mamba2Mixer::GatedNorm(const MixerStep& step, const Scratch& s) const {
  kernels::GatedRmsNormParams norm;
  norm.x = s.xbc;
  norm.x_stride = config_.conv_channels();
  norm.gate = s.projected;
  norm.gate_stride = config_.projection();
  norm.weight = norm_.as<float>();
  norm.order = config_.gate_order;
  norm.eps = static_cast<float>(config_.norm_eps);
  norm.rows = step.rows();
  norm.cols = config_.d_inner();
  norm.groups = config_.groups;
  norm.out = s.xbc;
  norm.out_stride = config_.conv_channels();
  return norm;
}

class Mamba2Family final : public MixerFamily {
 public:
  explicit Mamba2Family(const Mamba2Config& config) : config_(config) {}

  std::string Describe() const override { return config_.Describe(); }
  int64_t scratch_floats_per_row() const override {
    return config_.projection() + config_.conv_channels();
  }
  int64_t chunk_tokens() const override { return kernels::kSsdChunkTokens; }
  int64_t chunk_scratch_floats_per_row() const override {
    return kernels::SsdChunkScratch(config_.groups, config_.state_size);
  }
  std::unique_ptr<Mixer> Bind(const BlockPlace& place, TensorBinder* binder) const override {
    return std::make_unique<Mamba2Mixer>(config_, BindTensors(config_, place.prefix, binder));
  }

 private:
  const Mamba2Config config_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MixerFamily>> ParseMamba2(const ModelConfig& config,
                                                         const ConfigObject& root) {
  SSMD_ASSIGN_OR_RETURN(const Mamba2Config mamba, ParseMamba2Config(config, root));
  return std::make_unique<Mamba2Family>(mamba);
}

}  // namespace ssmd
