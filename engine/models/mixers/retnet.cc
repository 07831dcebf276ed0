#include "engine/models/mixers/retnet.h"

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/models/mixers/projection.h"
#include "kernels/ops.h"
#include "kernels/row_ops.h"

namespace ssmd {
namespace {

constexpr std::string_view kRetNetMembers[] = {"type", "num_heads", "d_key", "d_value"};
constexpr float kNormEps = 1e-6f;
constexpr long double kRotationBase = 10000;

struct RetNetConfig {
  int64_t d_model = 0;
  int64_t heads = 0;
  int64_t d_key = 0;    // of all heads together
  int64_t d_value = 0;  // likewise

  int64_t key_dim() const { return d_key / heads; }
  int64_t value_dim() const { return d_value / heads; }
  std::string Describe() const {
    return absl::StrFormat("retnet heads=%d d_key=%d d_value=%d", heads, d_key, d_value);
  }
};

// log γ of each head, γ = 1 − 2^(−5−h).
std::vector<float> DecayRates(int64_t heads) {
  std::vector<float> rates;
  for (int64_t h = 0; h < heads; ++h) {
    rates.push_back(static_cast<float>(std::log1p(-std::exp2(-5 - static_cast<double>(h)))));
  }
  return rates;
}

// Of each pair of a key's columns: 1 … 1/10000, evenly in the exponent. By way of more digits than
// double has, whose last bits an angle after a million tokens shows.
std::vector<double> Frequencies(int64_t key_dim) {
  const int64_t pairs = key_dim / 2;
  std::vector<double> frequencies;
  for (int64_t i = 0; i < pairs; ++i) {
    const long double part =
        pairs > 1 ? static_cast<long double>(i) / static_cast<long double>(pairs - 1) : 0;
    frequencies.push_back(static_cast<double>(std::pow(kRotationBase, -part)));
  }
  return frequencies;
}

class RetNetMixer final : public Mixer {
 public:
  RetNetMixer(const RetNetConfig& config, const std::string& prefix, TensorBinder* binder)
      : config_(config),
        q_tensor_(binder->RequireMatrix(prefix + "q_proj.weight", config.d_key, config.d_model)),
        k_tensor_(binder->RequireMatrix(prefix + "k_proj.weight", config.d_key, config.d_model)),
        v_tensor_(binder->RequireMatrix(prefix + "v_proj.weight", config.d_value, config.d_model)),
        g_tensor_(binder->RequireMatrix(prefix + "g_proj.weight", config.d_value, config.d_model)),
        out_tensor_(
            binder->RequireMatrix(prefix + "out_proj.weight", config.d_model, config.d_value)) {}

  void DeclareState(int layer, StateLayout* layout) override {
    state_ =
        layout->Add(layer, "ssm", StateKind::kSsm,
                    {config_.heads, config_.key_dim(), kernels::PaddedLanes(config_.value_dim())});
  }

  absl::Status Prepare(WeightLoader* loader) override;
  void Forward(const MixerStep& step) const override;

 private:
  // Activations of a step, in the scratch memory.
  struct Scratch {
    float* q;  // (rows, d_key)
    float* k;  // (rows, d_key)
    float* v;  // (rows, d_value); then what was read of the state, in its place
    float* g;  // (rows, d_value)
  };

  kernels::RotateParams Rotation(const MixerStep& step, float scale, float* x) const;
  kernels::SsdScanParams Retention(const MixerStep& step, const Scratch& s) const;
  kernels::GatedRmsNormParams GatedNorm(const MixerStep& step, const Scratch& s) const;

  const RetNetConfig& config_;
  const TensorInfo* q_tensor_;  // the tensors: until Prepare has read them
  const TensorInfo* k_tensor_;
  const TensorInfo* v_tensor_;
  const TensorInfo* g_tensor_;
  const TensorInfo* out_tensor_;
  StatePlace state_;
  Projection q_, k_, v_, g_, out_;
  kernels::Buffer rates_, frequencies_;
};

absl::Status RetNetMixer::Prepare(WeightLoader* loader) {
  const auto load = [loader](const TensorInfo* tensor) {
    return Projection::Load(*tensor, nullptr, MatrixRole::kProjection, loader);
  };
  SSMD_ASSIGN_OR_RETURN(q_, load(q_tensor_));
  SSMD_ASSIGN_OR_RETURN(k_, load(k_tensor_));
  SSMD_ASSIGN_OR_RETURN(v_, load(v_tensor_));
  SSMD_ASSIGN_OR_RETURN(g_, load(g_tensor_));
  SSMD_ASSIGN_OR_RETURN(out_, load(out_tensor_));
  SSMD_ASSIGN_OR_RETURN(rates_, loader->Upload(DecayRates(config_.heads), k_tensor_->name));
  SSMD_ASSIGN_OR_RETURN(frequencies_,
                        loader->Upload(Frequencies(config_.key_dim()), k_tensor_->name));
  q_tensor_ = k_tensor_ = v_tensor_ = g_tensor_ = out_tensor_ = nullptr;
  return absl::OkStatus();
}

void RetNetMixer::Forward(const MixerStep& step) const {
  Scratch s;
  s.q = step.scratch;
  s.k = s.q + step.rows() * config_.d_key;
  s.v = s.k + step.rows() * config_.d_key;
  s.g = s.v + step.rows() * config_.d_value;
  step.norm.Run(step.device);
  const auto project = [&step](const Projection& projection, float* out) {
    step.device->MatMul(projection.Product(step, step.norm.out(), step.norm.out_stride(), out));
  };
  project(q_, s.q);
  project(k_, s.k);
  project(v_, s.v);
  project(g_, s.g);
  const double key_dim = static_cast<double>(config_.key_dim());
  step.device->Rotate(Rotation(step, 1, s.q));
  step.device->Rotate(Rotation(step, static_cast<float>(1 / std::sqrt(key_dim)), s.k));
  step.device->SsdScan(Retention(step, s));
  step.device->GatedRmsNorm(GatedNorm(step, s));
  step.device->MatMul(out_.AddToResidual(step, s.v, config_.d_value));
}

kernels::RotateParams RetNetMixer::Rotation(const MixerStep& step, float scale, float* x) const {
  kernels::RotateParams rotate;
  rotate.segments = step.indices.segments;
  rotate.segment_count = step.indices.segment_count;
  rotate.rows = step.rows();
  rotate.heads = config_.heads;
  rotate.head_dim = config_.key_dim();
  rotate.frequencies = frequencies_.as<double>();
  rotate.scale = scale;
  rotate.x = x;
  rotate.x_stride = config_.d_key;
  return rotate;
}

// S = γ S + k vᵀ, o = qᵀ S: Mamba-2's recurrence with a step of 1, and B and C of each head.
kernels::SsdScanParams RetNetMixer::Retention(const MixerStep& step, const Scratch& s) const {
  kernels::SsdScanParams scan;
  scan.segments = step.indices.segments;
  scan.segment_count = step.indices.segment_count;
  scan.rows = step.rows();
  scan.heads = scan.groups = config_.heads;
  scan.head_dim = config_.value_dim();
  scan.state_size = config_.key_dim();
  scan.x = scan.y = s.v;
  scan.x_stride = scan.y_stride = config_.d_value;
  scan.b = s.k;
  scan.c = s.q;
  scan.b_stride = scan.c_stride = config_.d_key;
  scan.a = rates_.as<float>();
  scan.state = step.pool->field(state_);
  scan.chunk_scratch = step.chunk_scratch;
  return scan;
}

kernels::GatedRmsNormParams RetNetMixer::GatedNorm(const MixerStep& step, const Scratch& s) const {
  kernels::GatedRmsNormParams norm;
  norm.x = norm.out = s.v;
  norm.gate = s.g;
  norm.x_stride = norm.gate_stride = norm.out_stride = config_.d_value;
  norm.order = kernels::GateOrder::kNormFirst;
  norm.eps = kNormEps;
  norm.rows = step.rows();
  norm.cols = config_.d_value;
  norm.groups = config_.heads;
  return norm;
}

class RetNetFamily final : public MixerFamily {
 public:
  explicit RetNetFamily(const RetNetConfig& config) : config_(config) {}

  std::string Describe() const override { return config_.Describe(); }
  int64_t scratch_floats_per_row() const override { return 2 * (config_.d_key + config_.d_value); }
  int64_t scan_operations() const override { return 3 * config_.key_dim() * config_.d_value; }
  int64_t chunk_tokens() const override { return kernels::kSsdChunkTokens; }
  int64_t chunk_scratch_floats_per_row() const override {
    return kernels::SsdChunkScratch(config_.heads, config_.key_dim());
  }
  std::unique_ptr<Mixer> Bind(const BlockPlace& place, TensorBinder* binder) const override {
    return std::make_unique<RetNetMixer>(config_, place.prefix, binder);
  }

 private:
  const RetNetConfig config_;
};

// The width under `key`, in heads of equal parts.
absl::StatusOr<int64_t> Width(const ConfigObject& members, std::string_view key,
                              const RetNetConfig& retnet) {
  SSMD_ASSIGN_OR_RETURN(const int64_t width, members.IntOr(key, retnet.d_model, 1, kMaxInnerWidth));
  if (width % retnet.heads == 0) return width;
  return members.Error(
      key, absl::StrCat("must be a multiple of num_heads, ", retnet.heads, ", got ", width));
}

}  // namespace

absl::StatusOr<std::unique_ptr<MixerFamily>> ParseRetNet(const ModelConfig& config,
                                                         const ConfigObject& members) {
  SSMD_RETURN_IF_ERROR(members.AllowOnly(kRetNetMembers));
  RetNetConfig retnet;
  retnet.d_model = config.d_model;
  SSMD_ASSIGN_OR_RETURN(retnet.heads, members.Int("num_heads", 1, kMaxInnerWidth));
  SSMD_ASSIGN_OR_RETURN(retnet.d_key, Width(members, "d_key", retnet));
  SSMD_ASSIGN_OR_RETURN(retnet.d_value, Width(members, "d_value", retnet));
  if (retnet.key_dim() % 2 != 0 || retnet.key_dim() > kernels::kMaxStateSize) {
    return members.Error("d_key",
                         absl::StrCat("over num_heads is ", retnet.key_dim(),
                                      ", which must be even and at most ", kernels::kMaxStateSize));
  }
  return std::make_unique<RetNetFamily>(retnet);
}

}  // namespace ssmd
