#include "engine/models/mixers/linear_tensors.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/formats/quoted.h"
#include "kernels/ops.h"

namespace ssmd {
namespace {

// What double precision may make of a magnitude of exactly 1.
constexpr double kDecaySlack = 1e-12;

}  // namespace

absl::StatusOr<std::vector<double>> LoadDoubles(const TensorInfo& tensor, WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(const std::vector<float> values, loader->Values(tensor));
  return std::vector<double>(values.begin(), values.end());
}

absl::StatusOr<std::vector<Complex>> LoadComplex(const TensorInfo& tensor, WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(const std::vector<float> values, loader->Values(tensor));
  std::vector<Complex> numbers(values.size() / 2);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = {values[2 * i], values[2 * i + 1]};
  return numbers;
}

absl::StatusOr<std::vector<double>> LoadExponentials(const TensorInfo& tensor,
                                                     WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(std::vector<double> values, LoadDoubles(tensor, loader));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = std::exp(values[i]);
    if (!std::isfinite(values[i])) {
      return WeightLoader::NotFinite("exp of " + tensor.name, static_cast<int64_t>(i));
    }
  }
  return values;
}

absl::StatusOr<std::vector<double>> LoadSteps(const TensorInfo& tensor, WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(std::vector<double> steps, LoadExponentials(tensor, loader));
  for (size_t i = 0; i < steps.size(); ++i) {
    SSMD_RETURN_IF_ERROR(Narrow(steps[i], tensor.name, static_cast<int64_t>(i)).status());
  }
  return steps;
}

std::vector<float> StateRows(const std::vector<float>& values, int64_t channels) {
  const int64_t size = static_cast<int64_t>(values.size()) / channels;
  const int64_t lanes = kernels::PaddedLanes(channels);
  std::vector<float> rows(static_cast<size_t>(size * lanes));
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t n = 0; n < size; ++n) {
      rows[static_cast<size_t>(n * lanes + c)] = values[static_cast<size_t>(c * size + n)];
    }
  }
  return rows;
}

absl::StatusOr<float> Narrow(double value, const std::string& name, int64_t index) {
  const auto narrow = static_cast<float>(value);
  if (!std::isfinite(narrow)) return WeightLoader::NotFinite("what is made of " + name, index);
  return narrow;
}

absl::StatusOr<std::complex<float>> NarrowDecay(Complex decay, const std::string& name,
                                                int64_t index) {
  const double magnitude = std::abs(decay);
  if (magnitude > 1 + kDecaySlack) {
    return absl::InvalidArgumentError(
        absl::StrCat("weight ", Quoted(name), " gives a decay of magnitude ", magnitude,
                     " at index ", index, ": a state would grow without bound"));
  }
  SSMD_ASSIGN_OR_RETURN(float real, Narrow(decay.real(), name, index));
  SSMD_ASSIGN_OR_RETURN(float imaginary, Narrow(decay.imag(), name, index));
  while (std::norm(Complex(real, imaginary)) > 1) {
    float& larger = std::fabs(real) >= std::fabs(imaginary) ? real : imaginary;
    larger = std::nextafter(larger, 0.0f);
  }
  return std::complex<float>(real, imaginary);
}

}  // namespace ssmd
