// RWKV, versions 4 to 7: time mixing, which is a recurrence, and channel mixing, which is an MLP;
// both see the token before by a shift. A layer of the original models is a block of each.
//
// Sources: Peng et al. 2023 (arXiv:2305.13048), 2024 (2404.05892) and 2025 (2503.14456), as
// BlinkDL's RWKV-LM computes them. Tensors have the names of BlinkDL's checkpoints, with their
// shapes but for dimensions of 1. Where a file holds what is made of a tensor, in its place, the
// name has a suffix, and whichever is there is read:
//   time_decay.rate    −exp(time_decay) of RWKV-4
//   time_decay.factor  exp(−exp(time_decay)) of RWKV-5
//   time_first.factor  exp(time_first) of RWKV-5.1
//   w1.weight …        a matrix of low rank as (outputs, inputs), which BlinkDL's transpose
//
// RWKV-5.1 has a decay and a bonus for each head and no gate, 5.2 both for each channel and a gate.
#ifndef SSMD_ENGINE_MODELS_MIXERS_RWKV_H_
#define SSMD_ENGINE_MODELS_MIXERS_RWKV_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "engine/models/config_object.h"
#include "engine/models/mixer.h"
#include "engine/models/model_config.h"

namespace ssmd {

// The norm over each head's output divides it by 8 first and adds 1e-5, which is this without.
inline constexpr double kRwkvGroupEps = 64e-5;

// Narrower heads would be mostly padding.
inline constexpr int64_t kMinRwkvHead = 4;

struct RwkvTimeMixing {
  int version = 4;  // 4 to 7
  int64_t d_model = 0;
  int64_t d_inner = 0;   // of receptance, key and value; RWKV-7: d_model
  int64_t head_dim = 0;  // from RWKV-5 on; divides d_inner; RWKV-7: a multiple of kVectorLanes
  double group_eps = kRwkvGroupEps;
};
std::unique_ptr<MixerFamily> MakeRwkvTimeMixing(const RwkvTimeMixing& config);

struct RwkvChannelMixing {
  int version = 4;
  int64_t d_model = 0;
  int64_t d_inner = 0;  // of key
};
std::unique_ptr<MixerFamily> MakeRwkvChannelMixing(const RwkvChannelMixing& config);

// Whether the head's width is one that the version takes: INVALID_ARGUMENT naming `key` otherwise.
absl::Status CheckRwkvHeads(const RwkvTimeMixing& config, const ConfigObject& members,
                            std::string_view key);

// `members` is the mixer object, or the mlp object, of a stack's configuration (ssm_lm.h).
template <int kVersion>
absl::StatusOr<std::unique_ptr<MixerFamily>> ParseRwkvTimeMixing(const ModelConfig& config,
                                                                 const ConfigObject& members);
template <int kVersion>
absl::StatusOr<std::unique_ptr<MixerFamily>> ParseRwkvChannelMixing(const ModelConfig& config,
                                                                    const ConfigObject& members);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_RWKV_H_
