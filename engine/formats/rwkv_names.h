// Names of an RWKV model's tensors in files, and those that models ask for, which are BlinkDL's:
// "rwkv.blocks.3.attention.key.weight" is "blocks.3.att.key.weight".
//
// Files of rwkv.cpp hold some tensors in another form, whose names differ (mixers/rwkv.h).
#ifndef SSMD_ENGINE_FORMATS_RWKV_NAMES_H_
#define SSMD_ENGINE_FORMATS_RWKV_NAMES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/formats/tensor_info.h"

namespace ssmd {

enum class RwkvNaming : uint8_t {
  kNone,         // BlinkDL's own, or no RWKV model
  kHuggingFace,  // of transformers' and RWKV's own classes, versions 4 to 6
  kFla,          // of flash-linear-attention's, version 7
  kRwkvCpp,
};

// How a folder's tensors are named; never kRwkvCpp.
RwkvNaming FolderRwkvNaming(const std::vector<TensorInfo>& tensors);

// Gives each tensor its model_name. One that holds the weights of six shifts becomes six.
void TakeRwkvNames(RwkvNaming naming, std::vector<TensorInfo>* tensors);

// What a file would call the tensor that models ask for by `model_name`.
std::string RwkvNameOf(RwkvNaming naming, std::string_view model_name);

// The version by the names that models ask for: 4 to 7, or 0 where they are not RWKV's.
int RwkvVersionOf(const std::vector<TensorInfo>& tensors);

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_RWKV_NAMES_H_
