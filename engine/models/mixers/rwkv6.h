// RWKV-6's time mixing: as RWKV-5's, with a decay and mixtures of the token's own.
#ifndef SSMD_ENGINE_MODELS_MIXERS_RWKV6_H_
#define SSMD_ENGINE_MODELS_MIXERS_RWKV6_H_

#include <memory>

#include "engine/models/mixers/rwkv.h"

namespace ssmd {

int64_t Rwkv6ScratchFloatsPerRow(const RwkvTimeMixing& config);
std::unique_ptr<Mixer> BindRwkv6(const RwkvTimeMixing& config, const BlockPlace& place,
                                 TensorBinder* binder);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_RWKV6_H_
