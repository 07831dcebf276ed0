// The warpgroup's matrix product of sm_90a, beside what simt.h has.
//
// A warpgroup is four warps, of which the first is a multiple of four. All its threads make each
// call. d (64, 8 · kTiles) += a (64, 16) · b (16, 8 · kTiles), bf16 or f16 in, f32 out: warp w of
// the four has rows 16w to 16w + 15 of a and d, in the fragments of simt.h's products, d[n] being
// columns 8n to 8n + 7. b lies in shared memory, aligned to 16 bytes, as core matrices of eight
// columns × eight rows, 16 bytes a column: those of the next columns 128 bytes further, those of
// the next eight rows k_stride bytes.
//
// Products run on their own from WarpgroupBegin to WarpgroupEnd, which waits for them: in between
// nobody touches d, a or b. What AsyncCopy16 brought is theirs to read after the copying threads
// have called AsyncWait, ShareWithTensorCore and Sync.
//
//   constexpr bool kHasWarpgroupProducts;  // of the code at hand: false for other GPUs than 9.0a
//   struct SharedOperand { const void* cores; int k_stride; };
//   void ShareWithTensorCore();
//   void WarpgroupBegin();
//   // `add` false: d is not read.
//   template <int kTiles>
//   void WarpgroupMmaBf16(float (&d)[kTiles][4], const uint32_t (&a)[4], const SharedOperand& b,
//                         bool add);
//   void WarpgroupMmaF16(…likewise…);
//   template <int kTiles> void WarpgroupEnd(float (&d)[kTiles][4]);
//
// kTiles is 1, 2, 4, 8 or 16. Kernels that call these are launched on GPUs of compute capability
// 9.0 alone: elsewhere they end the launch with an error.
#ifndef SSMD_KERNELS_CUDA_WGMMA_H_
#define SSMD_KERNELS_CUDA_WGMMA_H_

#include "kernels/cuda/simt.h"

#if defined(__CUDACC__)
#include "kernels/cuda/wgmma_cuda.h"
#else
#include "wgmma_emulation.h"
#endif

#endif  // SSMD_KERNELS_CUDA_WGMMA_H_
