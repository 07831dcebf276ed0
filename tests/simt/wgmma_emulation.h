// kernels/cuda/wgmma.h on the CPU: each warp's part of a product by the warp's own products, at
// once. What only runs on its own on a device is not seen here.
#ifndef SSMD_TESTS_SIMT_WGMMA_EMULATION_H_
#define SSMD_TESTS_SIMT_WGMMA_EMULATION_H_

#include <cstdint>
#include <cstring>

#include "tests/simt/simt_emulation.h"

namespace ssmd::kernels::cuda {

struct SharedOperand {
  const void* cores;
  int k_stride;
};

inline constexpr bool kHasWarpgroupProducts = true;

SIMT_DEVICE void ShareWithTensorCore() {}
SIMT_DEVICE void WarpgroupBegin() {}
template <int kTiles>
void WarpgroupEnd(float (&)[kTiles][4]) {}

namespace wgmma {

// This lane's fragment of b: columns 8n to 8n + 7.
struct Fragment {
  uint32_t words[2];
};
inline Fragment FragmentOf(const SharedOperand& b, int n) {
  constexpr int kCoreBytes = 128;
  const int lane = simt::current_thread->lane();
  const auto* at = static_cast<const std::byte*>(b.cores) + n * kCoreBytes + lane * 4;
  Fragment fragment;
  std::memcpy(&fragment.words[0], at, 4);
  std::memcpy(&fragment.words[1], at + b.k_stride, 4);
  return fragment;
}

template <int kTiles, typename Mma>
void Multiply(float (&d)[kTiles][4], const uint32_t (&a)[4], const SharedOperand& b, bool add,
              const Mma& mma) {
  for (int n = 0; n < kTiles; ++n) {
    if (!add) std::memset(d[n], 0, sizeof(d[n]));
    mma(d[n], a, FragmentOf(b, n).words);
  }
}

}  // namespace wgmma

template <int kTiles>
void WarpgroupMmaBf16(float (&d)[kTiles][4], const uint32_t (&a)[4], const SharedOperand& b,
                      bool add) {
  wgmma::Multiply(d, a, b, add,
                  [](float(&to)[4], const uint32_t(&rows)[4], const uint32_t(&columns)[2]) {
                    MmaBf16(to, rows, columns);
                  });
}
template <int kTiles>
void WarpgroupMmaF16(float (&d)[kTiles][4], const uint32_t (&a)[4], const SharedOperand& b,
                     bool add) {
  wgmma::Multiply(d, a, b, add,
                  [](float(&to)[4], const uint32_t(&rows)[4], const uint32_t(&columns)[2]) {
                    MmaF16(to, rows, columns);
                  });
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_TESTS_SIMT_WGMMA_EMULATION_H_
