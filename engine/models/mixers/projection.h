// A matrix of a layer with its bias, where it has one, and its part in a step. Read at load
// time; immutable from then on.
#ifndef SSMD_ENGINE_MODELS_MIXERS_PROJECTION_H_
#define SSMD_ENGINE_MODELS_MIXERS_PROJECTION_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "engine/models/mixer.h"
#include "engine/models/weight_loader.h"
#include "kernels/tensor.h"

namespace ssmd {

class Projection {
 public:
  // `bias` may be null.
  static absl::StatusOr<Projection> Load(const TensorInfo& weight, const TensorInfo* bias,
                                         MatrixRole role, WeightLoader* loader);

  // Of a matrix that was computed at load time (WeightLoader::Derived).
  static absl::StatusOr<Projection> Of(kernels::PackedMatrix weight, const TensorInfo* bias,
                                       WeightLoader* loader);

  // out = W·x + bias, of each row of the step: (rows, outputs) without gaps.
  kernels::MatMulParams Product(const MixerStep& step, const float* x, int64_t x_stride,
                                float* out) const;
  // The same, added to the residual stream. REQUIRES: as many outputs as that is wide.
  kernels::MatMulParams AddToResidual(const MixerStep& step, const float* x,
                                      int64_t x_stride) const;

 private:
  kernels::PackedMatrix weight_;
  kernels::Buffer bias_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_PROJECTION_H_
