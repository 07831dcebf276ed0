// Comparison of a layer whose ops are fused (mamba_layer.h) with the same ops one by one: their
// bits are the same. Of single tokens, as many as a product rounds itself and more.
#ifndef SSMD_KERNELS_CUDA_CHECK_LAYERS_H_
#define SSMD_KERNELS_CUDA_CHECK_LAYERS_H_

#include <functional>
#include <string>

#include "kernels/cuda/check_space.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda {

// Puts the layer on the space's stream.
template <typename Params>
struct LayerRuns {
  std::function<void(const Params&)> fused, apart;
};

// With the layer's own weights. "" where bits are the same or there was no memory for it
// (CheckSpace::out_of_memory).
std::string CheckLayer(CheckSpace& space, const MambaLayerParams& like,
                       const LayerRuns<MambaLayerParams>& runs);
std::string CheckLayer(CheckSpace& space, const Mamba2LayerParams& like,
                       const LayerRuns<Mamba2LayerParams>& runs);

// Rows of the longest run.
inline constexpr int64_t kLayerCheckRows = 9;

// What CheckLayer's result depends on, in a line.
std::string LayerShape(const MambaLayerParams& layer);
std::string LayerShape(const Mamba2LayerParams& layer);

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_CHECK_LAYERS_H_
