#include "engine/models/mixers/s5.h"

#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/models/mixers/discretise.h"
#include "engine/models/mixers/linear_tensors.h"
#include "engine/models/mixers/time_invariant.h"
#include "kernels/linear_ops.h"

namespace ssmd {
namespace {

constexpr std::string_view kS5Members[] = {"d_state", "conj_sym", "discretization"};
constexpr std::string_view kLruMembers[] = {"d_state"};

struct SharedModesConfig : TimeInvariantConfig {
  bool lru = false;
  int64_t modes = 0;
  Discretisation rule = Discretisation::kZoh;  // of S5
  bool conjugates = false;                     // each mode stands for its conjugate as well

  int64_t scan_operations() const { return 4 * modes; }
  std::string Describe() const {
    const std::string_view how = lru ? "discrete" : DiscretisationName(rule);
    return absl::StrFormat("%s modes=%d discretization=%s conj_sym=%d output=%s",
                           lru ? "lru" : "s5", modes, how, conjugates ? 1 : 0, output());
  }
};

class SharedModesMixer final : public TimeInvariantMixer {
 public:
  SharedModesMixer(const SharedModesConfig& config, const std::string& prefix, TensorBinder* binder)
      : TimeInvariantMixer(config, prefix, binder), config_(config) {
    const int64_t modes = config.modes;
    real_ = binder->Require(prefix + (config.lru ? "nu_log" : "Lambda_re"), {modes});
    imaginary_ = binder->Require(prefix + (config.lru ? "theta_log" : "Lambda_im"), {modes});
    scale_ = binder->Require(prefix + (config.lru ? "gamma_log" : "log_step"), {modes});
    b_ = binder->Require(prefix + "B", {modes, config.d_model, 2});
    c_ = binder->Require(prefix + "C", {config.d_model, modes, 2});
    d_tensor_ = binder->Require(prefix + "D", {config.d_model});
  }

  void DeclareState(int layer, StateLayout* layout) override {
    state_ = layout->Add(layer, "modes", StateKind::kLinear, {2, config_.modes});
  }

 private:
  absl::Status PrepareSsm(WeightLoader* loader) override;
  void Ssm(const MixerStep& step, float* scratch, float* y) const override;

  absl::StatusOr<std::vector<DiscreteMode>> LoadModes(WeightLoader* loader) const;
  absl::Status PrepareDecay(const std::vector<DiscreteMode>& modes, WeightLoader* loader);
  absl::Status PrepareInput(const std::vector<DiscreteMode>& modes, WeightLoader* loader);
  absl::Status PrepareOutput(WeightLoader* loader);

  const SharedModesConfig& config_;
  const TensorInfo* real_;  // the tensors: until PrepareSsm has read them
  const TensorInfo* imaginary_;
  const TensorInfo* scale_;
  const TensorInfo* b_;
  const TensorInfo* c_;
  const TensorInfo* d_tensor_;
  StatePlace state_;
  Projection input_;   // (2 · modes, d_model): B̄, real parts, then imaginary ones
  Projection output_;  // (d_model, 2 · modes): of the state as it lies there
  kernels::Buffer decay_, d_;
};

absl::StatusOr<std::vector<DiscreteMode>> SharedModesMixer::LoadModes(WeightLoader* loader) const {
  std::vector<DiscreteMode> modes;
  SSMD_ASSIGN_OR_RETURN(const std::vector<double> scale, LoadExponentials(*scale_, loader));
  if (config_.lru) {
    SSMD_ASSIGN_OR_RETURN(const std::vector<double> nu, LoadExponentials(*real_, loader));
    SSMD_ASSIGN_OR_RETURN(const std::vector<double> theta, LoadExponentials(*imaginary_, loader));
    for (size_t n = 0; n < nu.size(); ++n) {
      modes.push_back({std::polar(std::exp(-nu[n]), theta[n]), scale[n]});
    }
    return modes;
  }
  SSMD_ASSIGN_OR_RETURN(const std::vector<double> real, LoadDoubles(*real_, loader));
  SSMD_ASSIGN_OR_RETURN(const std::vector<double> imaginary, LoadDoubles(*imaginary_, loader));
  for (size_t n = 0; n < real.size(); ++n) {
    modes.push_back(Discretise(config_.rule, {real[n], imaginary[n]}, scale[n]));
  }
  return modes;
}

absl::Status SharedModesMixer::PrepareDecay(const std::vector<DiscreteMode>& modes,
                                            WeightLoader* loader) {
  std::vector<float> decay(2 * modes.size());
  for (size_t n = 0; n < modes.size(); ++n) {
    SSMD_ASSIGN_OR_RETURN(const std::complex<float> narrow,
                          NarrowDecay(modes[n].decay, real_->name, static_cast<int64_t>(n)));
    decay[n] = narrow.real();
    decay[modes.size() + n] = narrow.imag();
  }
  SSMD_ASSIGN_OR_RETURN(decay_, loader->Upload(decay, real_->name));
  return absl::OkStatus();
}

absl::Status SharedModesMixer::PrepareInput(const std::vector<DiscreteMode>& modes,
                                            WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(const std::vector<Complex> b, LoadComplex(*b_, loader));
  const auto width = static_cast<size_t>(config_.d_model);
  std::vector<float> rows(2 * b.size());
  for (size_t i = 0; i < b.size(); ++i) {
    const Complex value = modes[i / width].input * b[i];
    rows[i] = static_cast<float>(value.real());
    rows[b.size() + i] = static_cast<float>(value.imag());
  }
  SSMD_ASSIGN_OR_RETURN(
      kernels::PackedMatrix matrix,
      loader->Derived(b_->name + " (discretised)", std::move(rows), 2 * config_.modes,
                      config_.d_model, MatrixRole::kProjection));
  SSMD_ASSIGN_OR_RETURN(input_, Projection::Of(std::move(matrix), nullptr, loader));
  return absl::OkStatus();
}

// Re(C h), twice that with conjugates: the imaginary parts of C enter with the other sign.
absl::Status SharedModesMixer::PrepareOutput(WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(const std::vector<Complex> c, LoadComplex(*c_, loader));
  const auto modes = static_cast<size_t>(config_.modes);
  const float factor = config_.conjugates ? 2 : 1;
  std::vector<float> rows(2 * c.size());
  for (size_t i = 0; i < c.size(); ++i) {
    const size_t at = i / modes * 2 * modes + i % modes;
    rows[at] = factor * static_cast<float>(c[i].real());
    rows[at + modes] = -factor * static_cast<float>(c[i].imag());
  }
  SSMD_ASSIGN_OR_RETURN(
      kernels::PackedMatrix matrix,
      loader->Derived(c_->name + " (of real and imaginary parts)", std::move(rows), config_.d_model,
                      2 * config_.modes, MatrixRole::kProjection));
  SSMD_ASSIGN_OR_RETURN(output_, Projection::Of(std::move(matrix), nullptr, loader));
  return absl::OkStatus();
}

absl::Status SharedModesMixer::PrepareSsm(WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(const std::vector<DiscreteMode> modes, LoadModes(loader));
  SSMD_RETURN_IF_ERROR(PrepareDecay(modes, loader));
  SSMD_RETURN_IF_ERROR(PrepareInput(modes, loader));
  SSMD_RETURN_IF_ERROR(PrepareOutput(loader));
  SSMD_ASSIGN_OR_RETURN(d_, loader->Vector(*d_tensor_));
  real_ = imaginary_ = scale_ = b_ = c_ = d_tensor_ = nullptr;
  return absl::OkStatus();
}

void SharedModesMixer::Ssm(const MixerStep& step, float* scratch, float* y) const {
  const float* u = step.norm.out();
  kernels::PointwiseParams feed_through;  // y = D u
  feed_through.function = kernels::PointwiseFunction::kMultiply;
  feed_through.x = u;
  feed_through.x_stride = step.norm.out_stride();
  feed_through.y = d_.as<float>();
  feed_through.rows = step.rows();
  feed_through.cols = feed_through.out_stride = config_.d_model;
  feed_through.out = y;
  step.device->Pointwise(feed_through);

  step.device->MatMul(input_.Product(step, u, step.norm.out_stride(), scratch));
  kernels::ComplexScanParams scan;
  scan.segments = step.indices.segments;
  scan.segment_count = step.indices.segment_count;
  scan.rows = step.rows();
  scan.modes = config_.modes;
  scan.decay = decay_.as<float>();
  scan.state = step.pool->field(state_);
  scan.x = scratch;
  scan.x_stride = 2 * config_.modes;
  step.device->ComplexScan(scan);
  kernels::MatMulParams output = output_.Product(step, scratch, 2 * config_.modes, y);
  output.add = y;
  output.add_stride = config_.d_model;
  step.device->MatMul(output);
}

absl::Status ParseModes(const ConfigObject& members, SharedModesConfig* parsed) {
  SSMD_ASSIGN_OR_RETURN(parsed->modes, members.Int("d_state", 1, kMaxInnerWidth / 2));
  parsed->scratch_floats = 2 * parsed->modes;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<MixerFamily>> ParseS5(const ModelConfig& config,
                                                     const ConfigObject& members) {
  SharedModesConfig s5;
  SSMD_RETURN_IF_ERROR(ParseTimeInvariant(config, members, kS5Members, &s5));
  SSMD_RETURN_IF_ERROR(ParseModes(members, &s5));
  SSMD_ASSIGN_OR_RETURN(const std::optional<bool> conjugates, members.Bool("conj_sym"));
  s5.conjugates = conjugates.value_or(true);
  SSMD_ASSIGN_OR_RETURN(s5.rule, ParseDiscretisation(members, Discretisation::kZoh));
  return std::make_unique<TimeInvariantFamily<SharedModesConfig, SharedModesMixer>>(s5);
}

absl::StatusOr<std::unique_ptr<MixerFamily>> ParseLru(const ModelConfig& config,
                                                      const ConfigObject& members) {
  SharedModesConfig lru;
  lru.lru = true;
  SSMD_RETURN_IF_ERROR(ParseTimeInvariant(config, members, kLruMembers, &lru));
  SSMD_RETURN_IF_ERROR(ParseModes(members, &lru));
  return std::make_unique<TimeInvariantFamily<SharedModesConfig, SharedModesMixer>>(lru);
}

}  // namespace ssmd
