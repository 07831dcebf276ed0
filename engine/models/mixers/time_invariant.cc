#include "engine/models/mixers/time_invariant.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/formats/quoted.h"

namespace ssmd {
namespace {

kernels::PointwiseParams Gelu(const MixerStep& step, int64_t width, float* x) {
  kernels::PointwiseParams gelu;
  gelu.function = kernels::PointwiseFunction::kGelu;
  gelu.x = gelu.out = x;
  gelu.rows = step.rows();
  gelu.cols = gelu.x_stride = gelu.out_stride = width;
  return gelu;
}

// Of x and its gate, side by side in `hidden`, added to the residual stream.
kernels::PointwiseParams AddGated(const MixerStep& step, int64_t width, const float* hidden) {
  kernels::PointwiseParams glu;
  glu.function = kernels::PointwiseFunction::kGlu;
  glu.x = hidden;
  glu.y = hidden + width;
  glu.x_stride = glu.y_stride = 2 * width;
  glu.add = glu.out = step.residual;
  glu.rows = step.rows();
  glu.cols = glu.add_stride = glu.out_stride = width;
  return glu;
}

}  // namespace

absl::Status ParseTimeInvariant(const ModelConfig& config, const ConfigObject& members,
                                std::span<const std::string_view> own,
                                TimeInvariantConfig* parsed) {
  std::vector<std::string_view> known = {"type", "output"};
  known.insert(known.end(), own.begin(), own.end());
  SSMD_RETURN_IF_ERROR(members.AllowOnly(known));
  SSMD_ASSIGN_OR_RETURN(const std::string output, members.StringOr("output", "glu"));
  if (output != "glu" && output != "linear") {
    return members.Error("output",
                         absl::StrCat("must be \"glu\" or \"linear\", got ", Quoted(output)));
  }
  parsed->d_model = config.d_model;
  parsed->gated = output == "glu";
  return absl::OkStatus();
}

TimeInvariantMixer::TimeInvariantMixer(const TimeInvariantConfig& config, const std::string& prefix,
                                       TensorBinder* binder)
    : frame_(config) {
  out_tensor_ = binder->RequireMatrix(prefix + "out.weight", config.outputs(), config.d_model);
  out_bias_tensor_ = binder->Require(prefix + "out.bias", {config.outputs()});
}

absl::Status TimeInvariantMixer::Prepare(WeightLoader* loader) {
  SSMD_RETURN_IF_ERROR(PrepareSsm(loader));
  SSMD_ASSIGN_OR_RETURN(
      out_, Projection::Load(*out_tensor_, out_bias_tensor_, MatrixRole::kProjection, loader));
  out_tensor_ = out_bias_tensor_ = nullptr;
  return absl::OkStatus();
}

void TimeInvariantMixer::Forward(const MixerStep& step) const {
  const int64_t width = frame_.d_model;
  float* y = step.scratch;
  float* hidden = y + step.rows() * width;  // of the gated output alone
  step.norm.Run(step.device);
  Ssm(step, hidden + (frame_.gated ? step.rows() * frame_.outputs() : 0), y);
  step.device->Pointwise(Gelu(step, width, y));
  if (!frame_.gated) {
    step.device->MatMul(out_.AddToResidual(step, y, width));
    return;
  }
  step.device->MatMul(out_.Product(step, y, width, hidden));
  step.device->Pointwise(AddGated(step, width, hidden));
}

}  // namespace ssmd
