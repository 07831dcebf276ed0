// simt.h on CUDA. The one place for CUDA keywords, intrinsics and PTX.
#ifndef SSMD_KERNELS_CUDA_SIMT_CUDA_H_
#define SSMD_KERNELS_CUDA_SIMT_CUDA_H_

#include <cuda_runtime.h>

#include <type_traits>

#include "kernels/cuda/kernel_call.h"

#define SIMT_DEVICE __device__ __forceinline__
// On the host as well.
#define SIMT_BOTH __host__ __device__ __forceinline__
#define SIMT_UNROLL _Pragma("unroll")

namespace ssmd::kernels::cuda {

inline constexpr uint32_t kWholeWarp = 0xFFFFFFFFu;

extern __shared__ __align__(128) unsigned char shared_memory[];

class Block {
 public:
  SIMT_DEVICE int thread() const { return static_cast<int>(threadIdx.x); }
  SIMT_DEVICE int threads() const { return static_cast<int>(blockDim.x); }
  SIMT_DEVICE int lane() const { return thread() % kWarpThreads; }
  SIMT_DEVICE int warp() const { return thread() / kWarpThreads; }
  SIMT_DEVICE int64_t x() const { return blockIdx.x; }
  SIMT_DEVICE int64_t y() const { return blockIdx.y; }
  SIMT_DEVICE int64_t z() const { return blockIdx.z; }
  SIMT_DEVICE int64_t grid_x() const { return gridDim.x; }
  SIMT_DEVICE int64_t grid_y() const { return gridDim.y; }
  SIMT_DEVICE int64_t grid_z() const { return gridDim.z; }
  SIMT_DEVICE void Sync() const { __syncthreads(); }
  SIMT_DEVICE void SyncWarp() const { __syncwarp(kWholeWarp); }
  SIMT_DEVICE bool SyncAny(bool mine) const { return __syncthreads_or(mine ? 1 : 0) != 0; }
  // Instructions of 9.0; a kernel compiled for less is launched after earlier ones (runtime.cc).
  SIMT_DEVICE void WaitForEarlierKernels() const {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" : : : "memory");
#endif
  }
  SIMT_DEVICE void LetNextKernelStart() const {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" : : : "memory");
#endif
  }
  template <typename T>
  SIMT_DEVICE T& shared() const {
    return *reinterpret_cast<T*>(shared_memory);
  }
  template <typename T>
  SIMT_DEVICE T Shuffle(T value, int lane) const {
    return __shfl_sync(kWholeWarp, value, lane);
  }
  template <typename T>
  SIMT_DEVICE T ShuffleXor(T value, int mask) const {
    return __shfl_xor_sync(kWholeWarp, value, mask);
  }
  SIMT_DEVICE uint32_t Ballot(bool mine) const { return __ballot_sync(kWholeWarp, mine ? 1 : 0); }
};

SIMT_DEVICE float Fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
SIMT_DEVICE double Fma(double a, double b, double c) { return __fma_rn(a, b, c); }
SIMT_DEVICE float Sqrt(float x) { return sqrtf(x); }
SIMT_DEVICE double Sqrt(double x) { return sqrt(x); }
SIMT_DEVICE float Divide(float a, float b) { return a / b; }
SIMT_DEVICE float Abs(float x) { return fabsf(x); }
SIMT_DEVICE uint32_t BitsOf(float x) { return __float_as_uint(x); }
SIMT_DEVICE float FloatOf(uint32_t bits) { return __uint_as_float(bits); }
SIMT_DEVICE uint64_t BitsOf(double x) { return static_cast<uint64_t>(__double_as_longlong(x)); }
SIMT_DEVICE double DoubleOf(uint64_t bits) {
  return __longlong_as_double(static_cast<long long>(bits));
}
SIMT_DEVICE int32_t ToIntNearest(float x) { return __float2int_rn(x); }
SIMT_DEVICE float RoundNearest(float x) { return rintf(x); }
SIMT_DEVICE uint32_t MultiplyHigh(uint32_t a, uint32_t b) { return __umulhi(a, b); }
SIMT_DEVICE int PopCount(uint32_t x) { return __popc(x); }
SIMT_DEVICE int LeadingZeros(uint32_t x) { return __clz(static_cast<int>(x)); }
SIMT_DEVICE int TrailingZeros(uint32_t x) { return x == 0 ? 32 : __ffs(static_cast<int>(x)) - 1; }

SIMT_DEVICE float HalfToFloat(uint16_t bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}
SIMT_DEVICE uint16_t FloatToHalf(float value) {
  uint16_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}

SIMT_DEVICE uint32_t PackBf16(float low, float high) {
  uint32_t halves;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(halves) : "f"(high), "f"(low));
  return halves;
}

SIMT_DEVICE int32_t DotInt8(uint32_t a, uint32_t b, int32_t sum) {
  return __dp4a(static_cast<int>(a), static_cast<int>(b), sum);
}

SIMT_DEVICE uint32_t FmaBf16x2(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t d;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}

SIMT_DEVICE int32_t AtomicAdd(int32_t* to, int32_t value) { return atomicAdd(to, value); }
SIMT_DEVICE uint32_t AtomicAdd(uint32_t* to, uint32_t value) { return atomicAdd(to, value); }
SIMT_DEVICE uint64_t AtomicAdd(uint64_t* to, uint64_t value) {
  return atomicAdd(reinterpret_cast<unsigned long long*>(to),
                   static_cast<unsigned long long>(value));
}
SIMT_DEVICE uint32_t AtomicMax(uint32_t* to, uint32_t value) { return atomicMax(to, value); }
SIMT_DEVICE uint64_t AtomicMax(uint64_t* to, uint64_t value) {
  return atomicMax(reinterpret_cast<unsigned long long*>(to),
                   static_cast<unsigned long long>(value));
}
SIMT_DEVICE uint32_t AtomicOr(uint32_t* to, uint32_t value) { return atomicOr(to, value); }

template <typename T>
SIMT_DEVICE T LoadReadOnly(const T* from) {
  return __ldg(from);
}
SIMT_DEVICE Words4 LoadReadOnly(const Words4* from) {
  const uint4 v = __ldg(reinterpret_cast<const uint4*>(from));
  return {v.x, v.y, v.z, v.w};
}
SIMT_DEVICE Floats4 LoadReadOnly(const Floats4* from) {
  const float4 v = __ldg(reinterpret_cast<const float4*>(from));
  return {v.x, v.y, v.z, v.w};
}
SIMT_DEVICE Words4 LoadStreaming(const Words4* from) {
  Words4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from));
  return v;
}

SIMT_DEVICE void FenceDevice() { __threadfence(); }
SIMT_DEVICE float LoadCoherent(const float* from) { return __ldcg(from); }

SIMT_DEVICE void AsyncCopy16(void* shared, const void* global) {
  const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" : : "r"(to), "l"(global) : "memory");
}
SIMT_DEVICE void AsyncCommit() { asm volatile("cp.async.commit_group;" : : : "memory"); }
template <int kPending>
SIMT_DEVICE void AsyncWait() {
  asm volatile("cp.async.wait_group %0;" : : "n"(kPending) : "memory");
}

SIMT_DEVICE void MmaBf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
SIMT_DEVICE void MmaF16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

SIMT_DEVICE float Exp2Approximate(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// A kernel's kBlocks, or 0: as the compiler likes.
template <typename Kernel, typename = void>
struct BlocksAtOnce {
  static constexpr int kValue = 0;
};
template <typename Kernel>
struct BlocksAtOnce<Kernel, std::void_t<decltype(Kernel::kBlocks)>> {
  static constexpr int kValue = Kernel::kBlocks;
};

// The bytes of a kernel's Shared, or 0.
template <typename Kernel, typename = void>
struct SharedBytes {
  static constexpr size_t kValue = 0;
};
template <typename Kernel>
struct SharedBytes<Kernel, std::void_t<typename Kernel::Shared>> {
  static constexpr size_t kValue = sizeof(typename Kernel::Shared);
};

// With the bytes of Kernel::Shared, which so are in its name, and in resources.txt.
template <typename Kernel, size_t kShared>
__global__ void __launch_bounds__(Kernel::kThreads, BlocksAtOnce<Kernel>::kValue)
    KernelEntry(const __grid_constant__ typename Kernel::Args args) {
  Kernel::Run(Block(), args);
}

// A kernel's kOverlaps, or false.
template <typename Kernel, typename = void>
struct Overlaps {
  static constexpr bool kValue = false;
};
template <typename Kernel>
struct Overlaps<Kernel, std::void_t<decltype(Kernel::kOverlaps)>> {
  static constexpr bool kValue = Kernel::kOverlaps;
};

template <typename Kernel>
void Launch(Stream& stream, const Grid& grid, int threads, const typename Kernel::Args& args) {
  static_assert(std::is_trivially_copyable_v<typename Kernel::Args>);
  auto copy = args;
  void* pointers[] = {&copy};
  constexpr size_t kShared = SharedBytes<Kernel>::kValue;
  const auto* entry = reinterpret_cast<const void*>(&KernelEntry<Kernel, kShared>);
  Enqueue(stream,
          {Kernel::kName, entry, grid, threads, kShared, Overlaps<Kernel>::kValue, pointers});
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_SIMT_CUDA_H_
