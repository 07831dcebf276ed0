// Comparisons of a layer whose ops go together with the same layer op by op: the bits are to be the
// same (mamba_layer.h). With the model's own weights, in its own activations, which hold nothing
// before its first step.
#ifndef SSMD_KERNELS_CUDA_SELFCHECK_CHECK_LAYERS_H_
#define SSMD_KERNELS_CUDA_SELFCHECK_CHECK_LAYERS_H_

#include <functional>
#include <string>

#include "kernels/cuda/selfcheck/check_space.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda {

template <typename Params>
struct LayerTwins {
  std::function<void(const Params&params)> together, apart;
};

// As the checks of kernel_checks.h. `like` has pointers that can be used, but for segments and
// states.
std::string CheckLayer(CheckSpace& space, const LayerTwins<MambaLayerParams>& twins,
                       const MambaLayerParams& like);
std::string CheckLayer(CheckSpace& space, const LayerTwins<Mamba2LayerParams>& twins,
                       const Mamba2LayerParams& like);

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_SELFCHECK_CHECK_LAYERS_H_
