// A layer in few launches: which of its ops go together, by their shapes, and the rest one by one.
// The bits are those of the fast ops one by one.
//
//              up to 8 rows                  up to 64 rows that are single tokens
//   Mamba-1    norm + in_proj                norm + rounding
//              conv                          in_proj
//              x_proj                        conv + rounding
//              norms + dt_proj + scan        x_proj
//              out_proj                      norms + dt_proj + scan + rounding
//                                            out_proj
//   Mamba-2    norm + in_proj                norm + rounding
//              conv                          in_proj
//              scan                          conv
//              gated norm                    scan
//              out_proj                      gated norm + rounding
//                                            out_proj
//
// Of more rows the products whose inputs are in segments may take a launch more (product_fast.h).
// Prompts have the norms with rounding.
#ifndef SSMD_KERNELS_CUDA_MAMBA_LAYER_H_
#define SSMD_KERNELS_CUDA_MAMBA_LAYER_H_

#include "kernels/cuda/kernel_choice.h"
#include "kernels/cuda/product_fast.h"
#include "kernels/device.h"

namespace ssmd::kernels::cuda {

struct LayerTools {
  Stream& stream;
  const KernelChoice& choice;
  fast::ProductOptions product;
  std::byte* scratch;  // of products: as much as any of the layer's needs
  Device& ops;         // for what is not fused
};

void RunMambaLayer(const LayerTools& tools, const MambaLayerParams& params);
void RunMamba2Layer(const LayerTools& tools, const Mamba2LayerParams& params);

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_MAMBA_LAYER_H_
