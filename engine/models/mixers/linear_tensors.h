// Tensors of the linear layers (S4, S5, RTF and their like) from the checkpoint's form, by double
// precision, into the kernels'. A complex tensor has a last dimension of 2: real, imaginary.
#ifndef SSMD_ENGINE_MODELS_MIXERS_LINEAR_TENSORS_H_
#define SSMD_ENGINE_MODELS_MIXERS_LINEAR_TENSORS_H_

#include <complex>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/models/mixers/discretise.h"
#include "engine/models/weight_loader.h"
#include "kernels/tensor.h"

namespace ssmd {

absl::StatusOr<std::vector<double>> LoadDoubles(const TensorInfo& tensor, WeightLoader* loader);
absl::StatusOr<std::vector<Complex>> LoadComplex(const TensorInfo& tensor, WeightLoader* loader);

// e^x of each element: INVALID_ARGUMENT where that is not finite.
absl::StatusOr<std::vector<double>> LoadExponentials(const TensorInfo& tensor,
                                                     WeightLoader* loader);

// Step sizes, of which the tensor has the logarithms: INVALID_ARGUMENT where one is not finite in
// single precision. What is made of a smaller one may still overflow, with what it is multiplied
// by.
absl::StatusOr<std::vector<double>> LoadSteps(const TensorInfo& tensor, WeightLoader* loader);

// (channels, n) as state rows: (n, PaddedLanes(channels)), padding zero.
std::vector<float> StateRows(const std::vector<float>& values, int64_t channels);

// In single precision: INVALID_ARGUMENT where that is not finite. `name` and `index` are for the
// error.
absl::StatusOr<float> Narrow(double value, const std::string& name, int64_t index);

// A decay in single precision, whose magnitude rounding does not take above 1. INVALID_ARGUMENT
// where it is above 1 before: a state would grow without bound.
absl::StatusOr<std::complex<float>> NarrowDecay(Complex decay, const std::string& name,
                                                int64_t index);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_LINEAR_TENSORS_H_
