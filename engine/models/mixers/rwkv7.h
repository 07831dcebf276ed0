// RWKV-7's time mixing: the generalised delta rule on a matrix state per head.
#ifndef SSMD_ENGINE_MODELS_MIXERS_RWKV7_H_
#define SSMD_ENGINE_MODELS_MIXERS_RWKV7_H_

#include <memory>

#include "engine/models/mixers/rwkv.h"

namespace ssmd {

int64_t Rwkv7ScratchFloatsPerRow(const RwkvTimeMixing& config);
// The values of the first block, which the others' are drawn to.
int64_t Rwkv7SharedFloatsPerRow(const RwkvTimeMixing& config);
std::unique_ptr<Mixer> BindRwkv7(const RwkvTimeMixing& config, const BlockPlace& place,
                                 TensorBinder* binder);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_RWKV7_H_
