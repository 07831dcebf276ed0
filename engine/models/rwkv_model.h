// Whole RWKV models, versions 4 to 7: the plan of their stack, and their configuration where no
// file says it and the tensors do.
#ifndef SSMD_ENGINE_MODELS_RWKV_MODEL_H_
#define SSMD_ENGINE_MODELS_RWKV_MODEL_H_

#include "absl/status/statusor.h"
#include "engine/formats/checkpoint.h"
#include "engine/formats/json.h"
#include "engine/models/config_object.h"
#include "engine/models/model_config.h"
#include "engine/models/stack.h"

namespace ssmd {

// `root` is in the words of transformers' class for version 4 and RWKV's own for 5 and 6, and of
// flash-linear-attention's for 7.
template <int kVersion>
absl::StatusOr<Stack> PlanRwkv(const ModelConfig& config, const ConfigObject& root);

// Whether the tensors are those of such a model.
bool IsRwkv(const Checkpoint& checkpoint);
// The same words, from the shapes of its tensors. Where the vocabulary is not one of bytes, token 0
// is the end of a text. `rwkv_cpp`: the file is rwkv.cpp's, which norms the heads of RWKV-5 with
// another epsilon than RWKV-LM.
absl::StatusOr<JsonDocument> ReadRwkvMetadata(const Checkpoint& checkpoint, bool rwkv_cpp);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_RWKV_MODEL_H_
