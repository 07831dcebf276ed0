// Names of the tensors of RWKV and RetNet models in files, and those that models ask for: of RWKV
// BlinkDL's ("rwkv.blocks.3.attention.key.weight" is "blocks.3.att.key.weight"), of RetNet those of
// its Hugging Face class.
//
// Files of rwkv.cpp hold some tensors in another form, whose names differ (mixers/rwkv.h).
#ifndef SSMD_ENGINE_FORMATS_MODEL_NAMES_H_
#define SSMD_ENGINE_FORMATS_MODEL_NAMES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/formats/tensor_info.h"

namespace ssmd {

enum class ModelNaming : uint8_t {
  kNone,             // what models ask for, or no such model
  kHuggingFaceRwkv,  // of transformers' and RWKV's own classes, versions 4 to 6
  kFlaRwkv,          // of flash-linear-attention's, version 7
  kRwkvCpp,
  kTorchscaleRetNet,
};

// How a folder's tensors are named; never kRwkvCpp.
ModelNaming FolderNaming(const std::vector<TensorInfo>& tensors);

// Gives each tensor its model_name. One that holds the weights of six shifts becomes six.
void TakeModelNames(ModelNaming naming, std::vector<TensorInfo>* tensors);

// What a file would call the tensor that models ask for by `model_name`.
std::string FileNameOf(ModelNaming naming, std::string_view model_name);

// The version by the names that models ask for: 4 to 7, or 0 where they are not RWKV's.
int RwkvVersionOf(const std::vector<TensorInfo>& tensors);

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_MODEL_NAMES_H_
