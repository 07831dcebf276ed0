#include "engine/models/mixers/modal.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/models/mixers/linear_tensors.h"
#include "kernels/linear_ops.h"
#include "kernels/ops.h"

namespace ssmd {
namespace {

using kernels::kChannelBlock;

}  // namespace

absl::StatusOr<int64_t> ParseConjugateModes(const ConfigObject& members) {
  SSMD_ASSIGN_OR_RETURN(const int64_t size, members.Int("d_state", 2, 2 * kernels::kMaxModes));
  if (size % 2 == 0) return size / 2;
  return members.Error("d_state", absl::StrCat("must be even, got ", size));
}

ModalTable::ModalTable(const ModalConfig& config, std::string decays, std::string outputs)
    : config_(config), decays_(std::move(decays)), outputs_(std::move(outputs)) {
  const auto size = static_cast<size_t>(kernels::PaddedChannels(config.d_model) * config.modes * 2);
  decay_.resize(size);
  output_.resize(size);
  coupling_in_.resize(size * static_cast<size_t>(config.rank));
  coupling_out_.resize(coupling_in_.size());
}

// Of a mode's real part; the imaginary one follows a block later.
size_t ModalTable::Index(int64_t rows, int64_t row, int64_t channel, int64_t mode) const {
  const int64_t block = channel / kChannelBlock;
  const int64_t line = ((block * rows + row) * config_.modes + mode) * 2;
  return static_cast<size_t>(line * kChannelBlock + channel % kChannelBlock);
}

absl::Status ModalTable::SetRow(int64_t channel, int64_t rows, int64_t row,
                                const std::vector<Complex>& values, std::vector<float>* table) {
  for (int64_t mode = 0; mode < config_.modes; ++mode) {
    const Complex value = values[static_cast<size_t>(mode)];
    const int64_t element = channel * config_.modes + mode;
    const size_t index = Index(rows, row, channel, mode);
    SSMD_ASSIGN_OR_RETURN((*table)[index], Narrow(value.real(), outputs_, element));
    SSMD_ASSIGN_OR_RETURN((*table)[index + kChannelBlock], Narrow(value.imag(), outputs_, element));
  }
  return absl::OkStatus();
}

absl::Status ModalTable::Set(int64_t channel, const ModalChannel& coefficients) {
  for (int64_t mode = 0; mode < config_.modes; ++mode) {
    SSMD_ASSIGN_OR_RETURN(const std::complex<float> decay,
                          NarrowDecay(coefficients.decay[static_cast<size_t>(mode)], decays_,
                                      channel * config_.modes + mode));
    const size_t index = Index(1, 0, channel, mode);
    decay_[index] = decay.real();
    decay_[index + kChannelBlock] = decay.imag();
  }
  for (int64_t r = 0; r < config_.rank; ++r) {
    const auto row = static_cast<size_t>(r);
    SSMD_RETURN_IF_ERROR(
        SetRow(channel, config_.rank, r, coefficients.coupling_in[row], &coupling_in_));
    SSMD_RETURN_IF_ERROR(
        SetRow(channel, config_.rank, r, coefficients.coupling_out[row], &coupling_out_));
  }
  return SetRow(channel, 1, 0, coefficients.output, &output_);
}

ModalMixer::ModalMixer(const ModalConfig& config, const std::string& prefix, TensorBinder* binder)
    : TimeInvariantMixer(config, prefix, binder), modal_(config) {
  d_tensor_ = binder->Require(prefix + "D", {config.d_model});
}

void ModalMixer::DeclareState(int layer, StateLayout* layout) {
  state_ = layout->Add(
      layer, "modes", StateKind::kLinear,
      {kernels::PaddedChannels(modal_.d_model) / kChannelBlock, modal_.modes, 2, kChannelBlock});
}

absl::Status ModalMixer::PrepareSsm(WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(const ModalTable table, Coefficients(loader));
  const std::string& name = d_tensor_->name;
  SSMD_ASSIGN_OR_RETURN(decay_, loader->Upload(table.decay(), name));
  SSMD_ASSIGN_OR_RETURN(output_, loader->Upload(table.output(), name));
  if (modal_.rank > 0) {
    SSMD_ASSIGN_OR_RETURN(coupling_in_, loader->Upload(table.coupling_in(), name));
    SSMD_ASSIGN_OR_RETURN(coupling_out_, loader->Upload(table.coupling_out(), name));
  }
  SSMD_ASSIGN_OR_RETURN(d_, loader->Vector(*d_tensor_));
  d_tensor_ = nullptr;
  return absl::OkStatus();
}

void ModalMixer::Ssm(const MixerStep& step, float* /*scratch*/, float* y) const {
  auto scan = ScanOf<kernels::ModalScanParams>(step, modal_.d_model, y);
  scan.modes = modal_.modes;
  scan.rank = modal_.rank;
  scan.decay = decay_.as<float>();
  scan.output = output_.as<float>();
  scan.coupling_in = coupling_in_.as<float>();
  scan.coupling_out = coupling_out_.as<float>();
  scan.d = d_.as<float>();
  scan.state = step.pool->field(state_);
  step.device->ModalScan(scan);
}

}  // namespace ssmd
