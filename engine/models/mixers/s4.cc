#include "engine/models/mixers/s4.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/formats/quoted.h"
#include "engine/models/mixers/linear_tensors.h"
#include "engine/models/mixers/modal.h"
#include "engine/models/mixers/prepare_s4.h"
#include "kernels/linear_ops.h"

namespace ssmd {
namespace {

constexpr std::string_view kS4Members[] = {"d_state",  "rank",           "heads",
                                           "l_kernel", "discretization", "diagonal"};

struct S4Config : ModalConfig {
  int64_t p_rank = 0;    // of A's low-rank part
  int64_t heads = 0;     // channels share A and B in as many parts: 1 or d_model
  int64_t l_kernel = 0;  // of the training that C has folded in; 0: none
  bool diagonal = false;

  std::string Describe() const {
    return absl::StrFormat("s4 modes=%d rank=%d heads=%d l_kernel=%d diagonal=%d output=%s", modes,
                           p_rank, heads, l_kernel, diagonal ? 1 : 0, output());
  }
};

class S4Mixer final : public ModalMixer {
 public:
  S4Mixer(const S4Config& config, const std::string& prefix, TensorBinder* binder)
      : ModalMixer(config, prefix, binder), config_(config) {
    const int64_t heads = config.heads;
    const int64_t half = config.modes;
    a_real_ = binder->Require(prefix + "A_real", {heads, half});
    a_imag_ = binder->Require(prefix + "A_imag", {heads, half});
    p_ = binder->Require(prefix + "P", {config.p_rank, heads, half, 2});
    b_ = binder->Require(prefix + "B", {heads, half, 2});
    c_ = binder->Require(prefix + "C", {config.d_model, half, 2});
    inv_dt_ = binder->Require(prefix + "inv_dt", {config.d_model});
  }

 private:
  absl::StatusOr<ModalTable> Coefficients(WeightLoader* loader) override;
  // Λ, P and B of every head; C and Δ are the channels'.
  absl::StatusOr<std::vector<S4Channel>> LoadHeads(WeightLoader* loader) const;
  absl::StatusOr<S4Eigenbasis> Eigenbasis(const S4Channel& head, int64_t index) const;

  const S4Config& config_;
  const TensorInfo* a_real_;  // the tensors: until they are read
  const TensorInfo* a_imag_;
  const TensorInfo* p_;
  const TensorInfo* b_;
  const TensorInfo* c_;
  const TensorInfo* inv_dt_;
};

// Part `index` of the modes in a tensor.
std::vector<Complex> ModesOf(const std::vector<Complex>& values, int64_t modes, int64_t index) {
  return {values.begin() + index * modes, values.begin() + (index + 1) * modes};
}

absl::StatusOr<std::vector<S4Channel>> S4Mixer::LoadHeads(WeightLoader* loader) const {
  SSMD_ASSIGN_OR_RETURN(const std::vector<double> rates, LoadExponentials(*a_real_, loader));
  SSMD_ASSIGN_OR_RETURN(const std::vector<double> phases, LoadDoubles(*a_imag_, loader));
  SSMD_ASSIGN_OR_RETURN(const std::vector<Complex> p, LoadComplex(*p_, loader));
  SSMD_ASSIGN_OR_RETURN(const std::vector<Complex> b, LoadComplex(*b_, loader));
  std::vector<S4Channel> heads(static_cast<size_t>(config_.heads));
  for (int64_t head = 0; head < config_.heads; ++head) {
    S4Channel& made = heads[static_cast<size_t>(head)];
    for (int64_t mode = 0; mode < config_.modes; ++mode) {
      const auto i = static_cast<size_t>(head * config_.modes + mode);
      made.lambda.emplace_back(-rates[i], phases[i]);
    }
    for (int64_t r = 0; r < config_.p_rank; ++r) {
      made.p.push_back(ModesOf(p, config_.modes, r * config_.heads + head));
    }
    made.b = ModesOf(b, config_.modes, head);
  }
  return heads;
}

absl::StatusOr<S4Eigenbasis> S4Mixer::Eigenbasis(const S4Channel& head, int64_t index) const {
  S4Eigenbasis basis = FindEigenbasis(head.lambda, head.p);
  std::string problem;
  if (!(basis.condition <= kMaxEigenvectorCondition)) {
    problem = absl::StrFormat("eigenvectors of condition %.3g, above %g", basis.condition,
                              kMaxEigenvectorCondition);
  } else if (basis.eigenvalues.size() != head.lambda.size()) {
    problem = "eigenvalues that are not in conjugate pairs";
  } else {
    return basis;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("weight ", Quoted(a_real_->name), " with P gives a matrix with ", problem,
                   ", in head ", index, ": it cannot be served with \"diagonal\": true"));
}

absl::StatusOr<ModalTable> S4Mixer::Coefficients(WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(std::vector<S4Channel> heads, LoadHeads(loader));
  SSMD_ASSIGN_OR_RETURN(const std::vector<Complex> c, LoadComplex(*c_, loader));
  SSMD_ASSIGN_OR_RETURN(const std::vector<double> steps, LoadSteps(*inv_dt_, loader));
  ModalTable table(config_, a_real_->name, absl::StrCat(c_->name, " with ", inv_dt_->name));
  S4Eigenbasis basis;
  for (int64_t channel = 0; channel < config_.d_model; ++channel) {
    const int64_t head = config_.heads == 1 ? 0 : channel;
    S4Channel& s4 = heads[static_cast<size_t>(head)];
    s4.c = ModesOf(c, config_.modes, channel);
    s4.step = steps[static_cast<size_t>(channel)];
    if (config_.l_kernel > 0) s4.c = RecoverC(s4, config_.l_kernel);
    if (!config_.diagonal) {
      SSMD_RETURN_IF_ERROR(table.Set(channel, ReduceBilinear(s4)));
      continue;
    }
    if (channel == head) {
      SSMD_ASSIGN_OR_RETURN(basis, Eigenbasis(s4, head));
    }
    SSMD_RETURN_IF_ERROR(table.Set(channel, DiagonalBilinear(s4, basis)));
  }
  a_real_ = a_imag_ = p_ = b_ = c_ = inv_dt_ = nullptr;
  return table;
}

absl::Status ParseHeads(const ConfigObject& members, S4Config* s4) {
  SSMD_ASSIGN_OR_RETURN(s4->heads, members.IntOr("heads", 1, 1, s4->d_model));
  if (s4->heads == 1 || s4->heads == s4->d_model) return absl::OkStatus();
  return members.Error("heads",
                       absl::StrCat("must be 1 or d_model = ", s4->d_model, ", got ", s4->heads));
}

}  // namespace

absl::StatusOr<std::unique_ptr<MixerFamily>> ParseS4(const ModelConfig& config,
                                                     const ConfigObject& members) {
  S4Config s4;
  SSMD_RETURN_IF_ERROR(ParseTimeInvariant(config, members, kS4Members, &s4));
  SSMD_ASSIGN_OR_RETURN(s4.modes, ParseConjugateModes(members));
  SSMD_ASSIGN_OR_RETURN(s4.p_rank, members.IntOr("rank", 1, 1, kernels::kMaxCoupling));
  SSMD_RETURN_IF_ERROR(ParseHeads(members, &s4));
  SSMD_ASSIGN_OR_RETURN(s4.l_kernel, members.IntOr("l_kernel", 0, 0, kMaxTaps));
  SSMD_ASSIGN_OR_RETURN(const Discretisation rule,
                        ParseDiscretisation(members, Discretisation::kBilinear));
  if (rule != Discretisation::kBilinear) {
    return members.Error("discretization", "must be \"bilinear\": S4 has no other");
  }
  SSMD_ASSIGN_OR_RETURN(const std::optional<bool> diagonal, members.Bool("diagonal"));
  s4.diagonal = diagonal.value_or(false);
  s4.rank = s4.diagonal ? 0 : s4.p_rank;
  return std::make_unique<TimeInvariantFamily<S4Config, S4Mixer>>(s4);
}

}  // namespace ssmd
