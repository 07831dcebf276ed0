// GGUF's names and shapes of a Mamba model's tensors, and those that models ask for (Hugging
// Face's): "blk.3.ssm_in.weight" is "backbone.layers.3.mixer.in_proj.weight".
//
// What stays different is A: GGUF holds −exp(A_log), so blk.3.ssm_a is …mixer.A and not A_log.
#ifndef SSMD_ENGINE_FORMATS_GGUF_NAMES_H_
#define SSMD_ENGINE_FORMATS_GGUF_NAMES_H_

#include <string>
#include <string_view>

#include "engine/formats/tensor_info.h"

namespace ssmd {

// Gives a tensor of a file of the architecture ("mamba", "mamba2") its model_name, and the shape
// that goes with that: llama.cpp's converter drops or adds dimensions of 1 and cuts Mamba-2's norm
// into groups. A tensor whose name is not of a Mamba model is left alone.
void TakeModelName(std::string_view architecture, TensorInfo* tensor);

// What a file of the architecture calls the tensor that models ask for by `model_name`; the same
// name where GGUF has none for it.
std::string GgufNameOf(std::string_view architecture, std::string_view model_name);

}  // namespace ssmd

#endif  // SSMD_ENGINE_FORMATS_GGUF_NAMES_H_
