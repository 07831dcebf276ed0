#include "engine/models/mixers/hippo.h"

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/models/hippo.h"
#include "engine/models/matrix_math.h"
#include "engine/models/mixers/dense_chunk.h"
#include "engine/models/mixers/discretise.h"
#include "engine/models/mixers/linear_tensors.h"
#include "engine/models/mixers/time_invariant.h"
#include "kernels/linear_ops.h"
#include "kernels/ops.h"

namespace ssmd {
namespace {

constexpr std::string_view kLegsMembers[] = {"d_state", "discretization"};
constexpr std::string_view kLegtMembers[] = {"d_state", "window"};
static_assert(kernels::kDenseChunkTokens == kernels::kSsdChunkTokens, "stacks mix the two");

// What both have: an output of every coefficient, and a feed-through.
class HippoMixer : public TimeInvariantMixer {
 public:
  HippoMixer(const TimeInvariantConfig& config, int64_t state_size, const std::string& prefix,
             TensorBinder* binder)
      : TimeInvariantMixer(config, prefix, binder),
        channels_(config.d_model),
        state_size_(state_size),
        output_tensor_(binder->Require(prefix + "C", {channels_, state_size})),
        d_tensor_(binder->Require(prefix + "D", {channels_})) {}

  void DeclareState(int layer, StateLayout* layout) final {
    state_ = layout->Add(layer, "coefficients", StateKind::kLinear,
                         {state_size_, kernels::PaddedLanes(channels_)});
  }

 protected:
  // What steps are made by, where there is anything; `output` is (channels, state_size), and `name`
  // its tensor's.
  virtual absl::Status UploadRule(const std::vector<float>& /*output*/, const std::string& /*name*/,
                                  WeightLoader* /*loader*/) {
    return absl::OkStatus();
  }

  absl::Status PrepareSsm(WeightLoader* loader) final {
    const std::string& name = output_tensor_->name;
    SSMD_ASSIGN_OR_RETURN(const std::vector<float> output, loader->Values(*output_tensor_));
    SSMD_RETURN_IF_ERROR(UploadRule(output, name, loader));
    SSMD_ASSIGN_OR_RETURN(output_, loader->Upload(StateRows(output, channels_), name));
    SSMD_ASSIGN_OR_RETURN(d_, loader->Vector(*d_tensor_));
    output_tensor_ = d_tensor_ = nullptr;
    return absl::OkStatus();
  }

  template <typename Params>
  Params Scan(const MixerStep& step, float* y) const {
    auto scan = ScanOf<Params>(step, channels_, y);
    scan.state_size = state_size_;
    scan.output = output_.as<float>();
    scan.d = d_.as<float>();
    scan.state = step.pool->field(state_);
    return scan;
  }

 private:
  const int64_t channels_;
  const int64_t state_size_;
  const TensorInfo* output_tensor_;  // the tensors: until PrepareSsm has read them
  const TensorInfo* d_tensor_;
  StatePlace state_;
  kernels::Buffer output_, d_;
};

struct LegsConfig : TimeInvariantConfig {
  int64_t state_size = 0;
  Discretisation rule = Discretisation::kBilinear;

  int64_t scan_operations() const {
    const bool bilinear = rule == Discretisation::kBilinear;
    return d_model * state_size * (bilinear ? 6 : (state_size + 1) / 2 + 1);
  }
  std::string Describe() const {
    return absl::StrFormat("hippo_legs state_size=%d discretization=%s output=%s", state_size,
                           DiscretisationName(rule), output());
  }
};

class LegsMixer final : public HippoMixer {
 public:
  LegsMixer(const LegsConfig& config, const std::string& prefix, TensorBinder* binder)
      : HippoMixer(config, config.state_size, prefix, binder), config_(config) {}

 private:
  void Ssm(const MixerStep& step, float* /*scratch*/, float* y) const override {
    auto scan = Scan<kernels::LegsScanParams>(step, y);
    scan.step = config_.rule == Discretisation::kBilinear ? kernels::LegsStep::kBilinear
                                                          : kernels::LegsStep::kExact;
    step.device->LegsScan(scan);
  }

  const LegsConfig& config_;
};

// Column after column.
std::vector<float> InF32(const Eigen::MatrixXd& values) {
  return {values.data(), values.data() + values.size()};
}

struct LegtConfig : TimeInvariantConfig {
  int64_t state_size = 0;
  int64_t window = 0;

  int64_t scan_operations() const { return d_model * state_size * (state_size + 1); }
  int64_t chunk_tokens() const { return kernels::kDenseChunkTokens; }
  std::string Describe() const {
    return absl::StrFormat("hippo_legt state_size=%d window=%d output=%s", state_size, window,
                           output());
  }
};

class LegtMixer final : public HippoMixer {
 public:
  LegtMixer(const LegtConfig& config, const std::string& prefix, TensorBinder* binder)
      : HippoMixer(config, config.state_size, prefix, binder), config_(config) {}

 private:
  absl::Status UploadRule(const std::vector<float>& output, const std::string& name,
                          WeightLoader* loader) override {
    const LinearSystem step =
        HoldInput(LegtSystem(config_.state_size), 1 / static_cast<double>(config_.window));
    const double spectral_radius = SpectralRadius(step.a);  // below 1, but for rounding
    if (!(spectral_radius < 1)) {
      return absl::InvalidArgumentError(
          absl::StrCat("hippo_legt: d_state ", config_.state_size, " and window ", config_.window,
                       " give a step of spectral radius ", spectral_radius,
                       ": a state would grow without bound"));
    }
    const std::vector<float> a = InF32(step.a.transpose());
    const std::vector<float> b = InF32(step.b);
    SSMD_ASSIGN_OR_RETURN(a_, loader->Upload(a, name));
    SSMD_ASSIGN_OR_RETURN(b_, loader->Upload(b, name));
    if (!loader->prepares_chunks()) return absl::OkStatus();
    const DenseChunk chunk = MakeDenseChunk(a, b, output, config_.chunk_tokens());
    SSMD_ASSIGN_OR_RETURN(chunk_step_, loader->Upload(chunk.step, name));
    SSMD_ASSIGN_OR_RETURN(chunk_readout_, loader->Upload(chunk.readout, name));
    SSMD_ASSIGN_OR_RETURN(chunk_taps_, loader->Upload(chunk.taps, name));
    return absl::OkStatus();
  }

  void Ssm(const MixerStep& step, float* /*scratch*/, float* y) const override {
    auto scan = Scan<kernels::DenseScanParams>(step, y);
    scan.a = a_.as<float>();
    scan.b = b_.as<float>();
    scan.chunk_step = chunk_step_.as<float>();
    scan.chunk_readout = chunk_readout_.as<float>();
    scan.chunk_taps = chunk_taps_.as<float>();
    step.device->DenseScan(scan);
  }

  const LegtConfig& config_;
  kernels::Buffer a_, b_;
  kernels::Buffer chunk_step_, chunk_readout_, chunk_taps_;  // where prompts go in chunks
};

}  // namespace

absl::StatusOr<std::unique_ptr<MixerFamily>> ParseHippoLegs(const ModelConfig& config,
                                                            const ConfigObject& members) {
  LegsConfig legs;
  SSMD_RETURN_IF_ERROR(ParseTimeInvariant(config, members, kLegsMembers, &legs));
  SSMD_ASSIGN_OR_RETURN(legs.state_size, members.Int("d_state", 1, kernels::kMaxModes));
  SSMD_ASSIGN_OR_RETURN(legs.rule, ParseDiscretisation(members, Discretisation::kBilinear));
  return std::make_unique<TimeInvariantFamily<LegsConfig, LegsMixer>>(legs);
}

absl::StatusOr<std::unique_ptr<MixerFamily>> ParseHippoLegt(const ModelConfig& config,
                                                            const ConfigObject& members) {
  LegtConfig legt;
  SSMD_RETURN_IF_ERROR(ParseTimeInvariant(config, members, kLegtMembers, &legt));
  SSMD_ASSIGN_OR_RETURN(legt.state_size, members.Int("d_state", 1, kernels::kMaxModes));
  SSMD_ASSIGN_OR_RETURN(legt.window, members.Int("window", 1, kMaxTaps));
  return std::make_unique<TimeInvariantFamily<LegtConfig, LegtMixer>>(legt);
}

}  // namespace ssmd
