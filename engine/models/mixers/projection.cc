#include "engine/models/mixers/projection.h"

#include "engine/base/status_macros.h"
#include "engine/models/mixers/layer_tensors.h"
#include "kernels/ops.h"

namespace ssmd {

absl::StatusOr<Projection> Projection::Load(const TensorInfo& weight, const TensorInfo* bias,
                                            MatrixRole role, WeightLoader* loader) {
  Projection projection;
  SSMD_ASSIGN_OR_RETURN(projection.weight_, loader->Matrix(weight, role));
  SSMD_ASSIGN_OR_RETURN(projection.bias_, LoadOptional(bias, loader));
  return projection;
}

void Projection::Apply(const MixerStep& step, const float* x, int64_t x_stride, float* out) const {
  Multiply(step, x, x_stride, nullptr, out);
}

void Projection::AddToResidual(const MixerStep& step, const float* x, int64_t x_stride) const {
  Multiply(step, x, x_stride, step.residual, step.residual);
}

void Projection::Multiply(const MixerStep& step, const float* x, int64_t x_stride, const float* add,
                          float* out) const {
  kernels::MatMulParams product;
  product.x = x;
  product.x_stride = x_stride;
  product.rows = step.rows;
  product.w = &weight_;
  product.bias = bias_.as<float>();
  product.add = add;
  product.add_stride = weight_.outputs;
  product.out = out;
  product.out_stride = weight_.outputs;
  step.device->MatMul(product);
}

}  // namespace ssmd
