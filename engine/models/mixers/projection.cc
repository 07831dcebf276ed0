#include "engine/models/mixers/projection.h"

#include <utility>

#include "engine/base/status_macros.h"
#include "engine/models/mixers/layer_tensors.h"
#include "kernels/ops.h"

namespace ssmd {

absl::StatusOr<Projection> Projection::Load(const TensorInfo& weight, const TensorInfo* bias,
                                            MatrixRole role, WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(kernels::PackedMatrix packed, loader->Matrix(weight, role));
  return Of(std::move(packed), bias, loader);
}

absl::StatusOr<Projection> Projection::Of(kernels::PackedMatrix weight, const TensorInfo* bias,
                                          WeightLoader* loader) {
  Projection projection;
  projection.weight_ = std::move(weight);
  SSMD_ASSIGN_OR_RETURN(projection.bias_, LoadOptional(bias, loader));
  return projection;
}

kernels::MatMulParams Projection::Product(const MixerStep& step, const float* x, int64_t x_stride,
                                          float* out) const {
  kernels::MatMulParams product;
  product.x = x;
  product.x_stride = x_stride;
  product.rows = step.rows();
  product.w = &weight_;
  product.bias = bias_.as<float>();
  product.out = out;
  product.out_stride = weight_.outputs;
  return product;
}

kernels::MatMulParams Projection::AddToResidual(const MixerStep& step, const float* x,
                                                int64_t x_stride) const {
  kernels::MatMulParams product = Product(step, x, x_stride, step.residual);
  product.add = step.residual;
  product.add_stride = weight_.outputs;
  return product;
}

}  // namespace ssmd
