// Tensors that the layers of Mamba-1 and Mamba-2 have in common, from the checkpoint's form into
// the kernels'.
#ifndef SSMD_ENGINE_MODELS_MIXERS_LAYER_TENSORS_H_
#define SSMD_ENGINE_MODELS_MIXERS_LAYER_TENSORS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/models/tensor_binder.h"
#include "engine/models/weight_loader.h"
#include "kernels/tensor.h"

namespace ssmd {

// A decay rate as the checkpoint has it: `A_log`, or `A`, which is −exp(A_log) already (as in
// GGUF).
struct DecayTensor {
  const TensorInfo* tensor = nullptr;  // null after a mismatch, which the binder knows
  bool is_log = true;
};
DecayTensor BindDecay(const std::string& prefix, const std::vector<int64_t>& shape,
                      TensorBinder* binder);

// The rates a = −exp(A_log), in the tensor's order: finite and <= 0, or INVALID_ARGUMENT.
absl::StatusOr<std::vector<float>> LoadDecay(const DecayTensor& decay, WeightLoader* loader);

// (channels, 1, width) of the checkpoint to the (width, channels) of the kernels.
absl::StatusOr<kernels::Buffer> LoadConvTaps(const TensorInfo& conv, WeightLoader* loader);

// An empty buffer, whose data is null, where the layer has no such bias.
absl::StatusOr<kernels::Buffer> LoadOptional(const TensorInfo* tensor, WeightLoader* loader);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_LAYER_TENSORS_H_
