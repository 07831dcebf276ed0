#include "engine/models/mixers/layer_tensors.h"

#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/formats/quoted.h"

namespace ssmd {

DecayTensor BindDecay(const std::string& prefix, const std::vector<int64_t>& shape,
                      TensorBinder* binder) {
  const bool is_log = binder->Has(prefix + "A_log") || !binder->Has(prefix + "A");
  return {binder->Require(prefix + (is_log ? "A_log" : "A"), shape), is_log};
}

absl::StatusOr<std::vector<float>> LoadDecay(const DecayTensor& decay, WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(std::vector<float> rates, loader->Values(*decay.tensor));
  for (size_t i = 0; i < rates.size(); ++i) {
    if (decay.is_log) {
      rates[i] = static_cast<float>(-std::exp(static_cast<double>(rates[i])));
      if (!std::isfinite(rates[i])) {
        return WeightLoader::NotFinite("exp of " + decay.tensor->name, static_cast<int64_t>(i));
      }
    } else if (rates[i] > 0) {
      return absl::InvalidArgumentError(absl::StrCat("weight ", Quoted(decay.tensor->name),
                                                     " is above 0 at index ", i,
                                                     ": a state would grow without bound"));
    }
  }
  return rates;
}

absl::StatusOr<kernels::Buffer> LoadConvTaps(const TensorInfo& conv, WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(const std::vector<float> values, loader->Values(conv));
  const int64_t channels = conv.shape[0];
  const int64_t width = conv.shape[2];
  std::vector<float> taps(values.size());
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t w = 0; w < width; ++w) {
      taps[static_cast<size_t>(w * channels + c)] = values[static_cast<size_t>(c * width + w)];
    }
  }
  return loader->Upload(taps, conv.name);
}

absl::StatusOr<kernels::Buffer> LoadOptional(const TensorInfo* tensor, WeightLoader* loader) {
  if (tensor == nullptr) return kernels::Buffer();
  return loader->Vector(*tensor);
}

}  // namespace ssmd
