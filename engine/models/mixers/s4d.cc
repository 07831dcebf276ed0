#include "engine/models/mixers/s4d.h"

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/models/mixers/discretise.h"
#include "engine/models/mixers/linear_tensors.h"
#include "engine/models/mixers/modal.h"

namespace ssmd {
namespace {

constexpr std::string_view kS4dMembers[] = {"d_state", "discretization"};

struct S4dConfig : ModalConfig {
  Discretisation rule = Discretisation::kZoh;

  std::string Describe() const {
    return absl::StrFormat("s4d modes=%d discretization=%s output=%s", modes,
                           DiscretisationName(rule), output());
  }
};

class S4dMixer final : public ModalMixer {
 public:
  S4dMixer(const S4dConfig& config, const std::string& prefix, TensorBinder* binder)
      : ModalMixer(config, prefix, binder), config_(config) {
    const int64_t channels = config.d_model;
    log_a_real_ = binder->Require(prefix + "log_A_real", {channels, config.modes});
    a_imag_ = binder->Require(prefix + "A_imag", {channels, config.modes});
    if (binder->Has(prefix + "B")) b_ = binder->Require(prefix + "B", {channels, config.modes, 2});
    c_ = binder->Require(prefix + "C", {channels, config.modes, 2});
    log_dt_ = binder->Require(prefix + "log_dt", {channels});
  }

 private:
  absl::StatusOr<ModalTable> Coefficients(WeightLoader* loader) override;

  const S4dConfig& config_;
  const TensorInfo* log_a_real_;  // the tensors: until they are read
  const TensorInfo* a_imag_;
  const TensorInfo* b_ = nullptr;  // absent: 1
  const TensorInfo* c_;
  const TensorInfo* log_dt_;
};

absl::StatusOr<ModalTable> S4dMixer::Coefficients(WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(const std::vector<double> rates, LoadExponentials(*log_a_real_, loader));
  SSMD_ASSIGN_OR_RETURN(const std::vector<double> phases, LoadDoubles(*a_imag_, loader));
  std::vector<Complex> b(rates.size(), 1.0);
  if (b_ != nullptr) {
    SSMD_ASSIGN_OR_RETURN(b, LoadComplex(*b_, loader));
  }
  SSMD_ASSIGN_OR_RETURN(const std::vector<Complex> c, LoadComplex(*c_, loader));
  SSMD_ASSIGN_OR_RETURN(const std::vector<double> steps, LoadSteps(*log_dt_, loader));
  ModalTable table(config_, log_a_real_->name, absl::StrCat(c_->name, " with ", log_dt_->name));
  size_t i = 0;
  for (int64_t channel = 0; channel < config_.d_model; ++channel) {
    ModalChannel modes;
    for (int64_t n = 0; n < config_.modes; ++n, ++i) {
      const DiscreteMode mode =
          Discretise(config_.rule, {-rates[i], phases[i]}, steps[static_cast<size_t>(channel)]);
      modes.decay.push_back(mode.decay);
      modes.output.push_back(2.0 * c[i] * b[i] * mode.input);
    }
    SSMD_RETURN_IF_ERROR(table.Set(channel, modes));
  }
  log_a_real_ = a_imag_ = b_ = c_ = log_dt_ = nullptr;
  return table;
}

}  // namespace

absl::StatusOr<std::unique_ptr<MixerFamily>> ParseS4d(const ModelConfig& config,
                                                      const ConfigObject& members) {
  S4dConfig s4d;
  SSMD_RETURN_IF_ERROR(ParseTimeInvariant(config, members, kS4dMembers, &s4d));
  SSMD_ASSIGN_OR_RETURN(s4d.modes, ParseConjugateModes(members));
  SSMD_ASSIGN_OR_RETURN(s4d.rule, ParseDiscretisation(members, Discretisation::kZoh));
  return std::make_unique<TimeInvariantFamily<S4dConfig, S4dMixer>>(s4d);
}

}  // namespace ssmd
