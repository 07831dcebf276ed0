// RWKV-5's time mixing: a matrix state per head with a decay of each channel.
#ifndef SSMD_ENGINE_MODELS_MIXERS_RWKV5_H_
#define SSMD_ENGINE_MODELS_MIXERS_RWKV5_H_

#include <memory>

#include "engine/models/mixers/rwkv.h"

namespace ssmd {

int64_t Rwkv5ScratchFloatsPerRow(const RwkvTimeMixing& config);
std::unique_ptr<Mixer> BindRwkv5(const RwkvTimeMixing& config, const BlockPlace& place,
                                 TensorBinder* binder);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_RWKV5_H_
