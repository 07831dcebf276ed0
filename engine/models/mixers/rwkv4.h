// RWKV-4's time mixing: a weighted mean of values per channel.
#ifndef SSMD_ENGINE_MODELS_MIXERS_RWKV4_H_
#define SSMD_ENGINE_MODELS_MIXERS_RWKV4_H_

#include <memory>

#include "engine/models/mixers/rwkv.h"

namespace ssmd {

int64_t Rwkv4ScratchFloatsPerRow(const RwkvTimeMixing& config);
std::unique_ptr<Mixer> BindRwkv4(const RwkvTimeMixing& config, const BlockPlace& place,
                                 TensorBinder* binder);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_RWKV4_H_
