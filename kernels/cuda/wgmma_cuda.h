// wgmma.h on CUDA (PTX ISA, wgmma.mma_async; no swizzle, both operands K-major).
#ifndef SSMD_KERNELS_CUDA_WGMMA_CUDA_H_
#define SSMD_KERNELS_CUDA_WGMMA_CUDA_H_

#include "kernels/cuda/simt_cuda.h"

namespace ssmd::kernels::cuda {

struct SharedOperand {
  const void* cores;
  int k_stride;
};

// Compiled for sm_90a, which has the instructions; what is compiled for others is not launched.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

inline constexpr bool kHasWarpgroupProducts = true;

SIMT_DEVICE void ShareWithTensorCore() {
  asm volatile("fence.proxy.async.shared::cta;" : : : "memory");
}

SIMT_DEVICE void WarpgroupBegin() { asm volatile("wgmma.fence.sync.aligned;" : : : "memory"); }

template <int kTiles>
SIMT_DEVICE void WarpgroupEnd(float (&d)[kTiles][4]) {
  asm volatile("wgmma.commit_group.sync.aligned;" : : : "memory");
  asm volatile("wgmma.wait_group.sync.aligned 0;" : : : "memory");
  // No copy of d is older than this.
  SIMT_UNROLL for (int n = 0; n < kTiles; ++n) {
    asm volatile("" : "+f"(d[n][0]), "+f"(d[n][1]), "+f"(d[n][2]), "+f"(d[n][3]) : : "memory");
  }
}

// The matrix descriptor: an address, and the distances of core matrices along K ("leading") and
// along N ("stride"), in units of 16 bytes.
SIMT_DEVICE uint64_t DescriptorOf(const SharedOperand& b) {
  constexpr uint64_t kNextColumns = 128 / 16;
  const auto address = static_cast<uint64_t>(__cvta_generic_to_shared(b.cores));
  return (address & 0x3FFFF) >> 4 | static_cast<uint64_t>(b.k_stride / 16) << 16 |
         kNextColumns << 32;
}

#define SIMT_REGISTERS_4 "%0, %1, %2, %3"
#define SIMT_REGISTERS_8 SIMT_REGISTERS_4 ", %4, %5, %6, %7"
#define SIMT_REGISTERS_16 SIMT_REGISTERS_8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define SIMT_REGISTERS_32                                     \
  SIMT_REGISTERS_16                                           \
  ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, " \
  "%27, %28, %29, %30, %31"
#define SIMT_REGISTERS_64                                          \
  SIMT_REGISTERS_32                                                \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, " \
  "%44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, "   \
  "%56, %57, %58, %59, %60, %61, %62, %63"

#define SIMT_D(n) "+f"(d[n][0]), "+f"(d[n][1]), "+f"(d[n][2]), "+f"(d[n][3])
#define SIMT_D_2(n) SIMT_D(n), SIMT_D(n + 1)
#define SIMT_D_4(n) SIMT_D_2(n), SIMT_D_2(n + 2)
#define SIMT_D_8(n) SIMT_D_4(n), SIMT_D_4(n + 4)
#define SIMT_D_16(n) SIMT_D_8(n), SIMT_D_8(n + 8)

// One product. The operands after d are named by their numbers: a, the descriptor of b, `add`.
#define SIMT_WGMMA(type, columns, registers, a0, a1, a2, a3, b, p, ...)                            \
  asm volatile("{.reg .pred p; setp.ne.b32 p, " p ", 0; wgmma.mma_async.sync.aligned.m64n" columns \
               "k16.f32." type "." type " {" registers "}, {" a0 ", " a1 ", " a2 ", " a3 "}, " b   \
               ", p, 1, 1, 0;}"                                                                    \
               : __VA_ARGS__                                                                       \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(descriptor), "r"(scale_d)         \
               : "memory")

#define SIMT_WGMMA_OF_TILES(type)                                                                  \
  const uint64_t descriptor = DescriptorOf(b);                                                     \
  const int scale_d = add ? 1 : 0;                                                                 \
  static_assert(kTiles == 1 || kTiles == 2 || kTiles == 4 || kTiles == 8 || kTiles == 16);         \
  if constexpr (kTiles == 1) {                                                                     \
    SIMT_WGMMA(type, "8", SIMT_REGISTERS_4, "%4", "%5", "%6", "%7", "%8", "%9", SIMT_D(0));        \
  } else if constexpr (kTiles == 2) {                                                              \
    SIMT_WGMMA(type, "16", SIMT_REGISTERS_8, "%8", "%9", "%10", "%11", "%12", "%13", SIMT_D_2(0)); \
  } else if constexpr (kTiles == 4) {                                                              \
    SIMT_WGMMA(type, "32", SIMT_REGISTERS_16, "%16", "%17", "%18", "%19", "%20", "%21",            \
               SIMT_D_4(0));                                                                       \
  } else if constexpr (kTiles == 8) {                                                              \
    SIMT_WGMMA(type, "64", SIMT_REGISTERS_32, "%32", "%33", "%34", "%35", "%36", "%37",            \
               SIMT_D_8(0));                                                                       \
  } else {                                                                                         \
    SIMT_WGMMA(type, "128", SIMT_REGISTERS_64, "%64", "%65", "%66", "%67", "%68", "%69",           \
               SIMT_D_16(0));                                                                      \
  }

template <int kTiles>
SIMT_DEVICE void WarpgroupMmaBf16(float (&d)[kTiles][4], const uint32_t (&a)[4],
                                  const SharedOperand& b, bool add) {
  SIMT_WGMMA_OF_TILES("bf16")
}
template <int kTiles>
SIMT_DEVICE void WarpgroupMmaF16(float (&d)[kTiles][4], const uint32_t (&a)[4],
                                 const SharedOperand& b, bool add) {
  SIMT_WGMMA_OF_TILES("f16")
}

#undef SIMT_WGMMA_OF_TILES
#undef SIMT_WGMMA
#undef SIMT_D_16
#undef SIMT_D_8
#undef SIMT_D_4
#undef SIMT_D_2
#undef SIMT_D
#undef SIMT_REGISTERS_64
#undef SIMT_REGISTERS_32
#undef SIMT_REGISTERS_16
#undef SIMT_REGISTERS_8
#undef SIMT_REGISTERS_4

#else

inline constexpr bool kHasWarpgroupProducts = false;

SIMT_DEVICE void ShareWithTensorCore() { __trap(); }
SIMT_DEVICE void WarpgroupBegin() { __trap(); }
template <int kTiles>
SIMT_DEVICE void WarpgroupEnd(float (&)[kTiles][4]) {
  __trap();
}
template <int kTiles>
SIMT_DEVICE void WarpgroupMmaBf16(float (&)[kTiles][4], const uint32_t (&)[4], const SharedOperand&,
                                  bool) {
  __trap();
}
template <int kTiles>
SIMT_DEVICE void WarpgroupMmaF16(float (&)[kTiles][4], const uint32_t (&)[4], const SharedOperand&,
                                 bool) {
  __trap();
}

#endif

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_WGMMA_CUDA_H_
