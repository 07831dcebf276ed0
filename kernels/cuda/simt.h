// What a thread of a kernel may do: the whole of CUDA that kernels see.
//
// nvcc compiles kernels to CUDA (simt_cuda.h). Other compilers compile the same files to an
// emulation on the CPU (tests/simt), where every thread of a block is a fiber: so kernels are
// tested where there is no GPU, with ThreadSanitizer to find races, AddressSanitizer for what lies
// outside an array. What the emulation cannot see (swizzles, descriptors, the order of memory
// between blocks) is left to a device.
//
// A kernel is a struct:
//
//   struct RowSum {
//     static constexpr char kName[] = "row_sum";   // in errors and tables
//     static constexpr int kThreads = 128;         // of a block, at most; a multiple of 32
//     static constexpr int kBlocks = 2;            // that have registers at once, or absent
//     static constexpr bool kOverlaps = true;      // or absent: see below
//     struct Args { … };                           // plain data, device pointers
//     struct Shared { … };                         // or absent
//     SIMT_DEVICE static void Run(const Block& block, const Args& args);
//   };
//   Launch<RowSum>(stream, {blocks_x, blocks_y}, threads, args);
//
// SIMT_UNROLL before a `for` of constant length: whole, so that arrays it indexes stay in
// registers.
//
// Rules: no CUDA keyword, intrinsic, PTX, library or architecture macro outside of simt_cuda.h.
// Shared memory through block.shared<Shared>() alone, once a kernel; it holds anything at the
// start. A warp works in step only through the calls below, and all its 32 threads make each of
// them, on the same line. All threads of a block reach each Sync(), likewise. What a thread wrote
// is there for others after Sync(), and in its warp after SyncWarp(): a shuffle, a ballot or a
// product is no barrier. Blocks of a launch do not wait for each other.
//
// A kernel that overlaps may begin before earlier ones of its stream have ended, where the GPU can
// do that. Each of its threads calls WaitForEarlierKernels() once or more; before, it touches
// nothing that a kernel writes: it may load weights. After that, what earlier kernels wrote is read
// by plain loads, as LoadReadOnly() may come too early.
//
// Floating point: denormals are zero, in and out; nothing is contracted, Fma says where products
// and sums are fused; division and square root are IEEE's.
#ifndef SSMD_KERNELS_CUDA_SIMT_H_
#define SSMD_KERNELS_CUDA_SIMT_H_

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/grid.h"

namespace ssmd::kernels::cuda {

inline constexpr int kWarpThreads = 32;

// Sixteen bytes, moved in one access.
struct alignas(16) Floats4 {
  float x, y, z, w;
};
struct alignas(16) Words4 {
  uint32_t x, y, z, w;
};
struct alignas(8) Words2 {
  uint32_t x, y;
};

}  // namespace ssmd::kernels::cuda

// Both define, for T of 4 or 8 bytes:
//
//   class Block {
//     int thread() const, threads() const;        // of the block
//     int lane() const, warp() const;             // thread() % 32, thread() / 32
//     int64_t x() const, y() const, z() const;    // the block's place in the grid
//     int64_t grid_x() const, grid_y() const, grid_z() const;
//     void Sync() const;                          // a barrier of the block
//     void SyncWarp() const;                      // and of the warp
//     bool SyncAny(bool mine) const;              // a barrier; true if any thread's was
//     void WaitForEarlierKernels() const;         // of the stream, until all have ended
//     void LetNextKernelStart() const;            // as far as it does not wait, if it overlaps
//     T& shared<T>() const;
//     // All lanes of a warp; the value of another lane.
//     T Shuffle(T value, int lane) const, ShuffleXor(T value, int mask) const;
//     uint32_t Ballot(bool mine) const;           // bit i: lane i's
//   };
//
//   float Fma(float, float, float); double Fma(double, double, double);
//   float Sqrt(float), Divide(float, float), Abs(float); double Sqrt(double);
//   uint32_t BitsOf(float); float FloatOf(uint32_t);
//   uint64_t BitsOf(double); double DoubleOf(uint64_t);
//   int32_t ToIntNearest(float);                // ties to even
//   float RoundNearest(float);                  // likewise
//   uint32_t MultiplyHigh(uint32_t, uint32_t);
//   int PopCount(uint32_t); int LeadingZeros(uint32_t); int TrailingZeros(uint32_t);  // 32 of 0
//   float HalfToFloat(uint16_t); uint16_t FloatToHalf(float);     // IEEE's binary16, to even
//   uint32_t PackBf16(float low, float high);   // both to nearest even, into halves of a word
//   int32_t DotInt8(uint32_t a, uint32_t b, int32_t sum);         // 4 signed products, exact
//   uint32_t FmaBf16x2(uint32_t a, uint32_t b, uint32_t c);       // two bf16 each, denormals kept
//
//   // On global or shared memory; the old value.
//   T AtomicAdd(T*, T) (32 and 64 bits, integers), uint32_t AtomicMax(uint32_t*, uint32_t),
//   uint64_t AtomicMax(uint64_t*, uint64_t), uint32_t AtomicOr(uint32_t*, uint32_t)
//
//   // Reads that no other access of the launch writes, by the cache for such; streaming ones are
//   // not kept.
//   T LoadReadOnly(const T*), Words4 LoadStreaming(const Words4*)
//
//   // What the thread has written, or knows by a barrier to be written, comes before what it does
//   // next, for other blocks too. A thread of those that learns of it by an atomic, and then has
//   // a fence of its own, reads it by LoadCoherent; so do those who meet it at a barrier.
//   void FenceDevice(); float LoadCoherent(const float*);
//
//   // 16 bytes from global to shared memory, both aligned; they arrive at AsyncWait<n>, which
//   // waits for all of the thread's groups but the last n, and are seen by others after Sync().
//   void AsyncCopy16(void* shared, const void* global); void AsyncCommit(); void AsyncWait<n>();
//
//   // The tensor core's product of a warp: d (16, 8) += a (16, 16) · b (16, 8), of bf16 or f16, in
//   // f32. Lane l has, with g = l / 4 and q = l % 4 (PTX ISA, m16n8k16):
//   //   a[0] rows g, columns 2q and 2q + 1 (the first in the low half); a[1] row g + 8;
//   //   a[2] row g, columns 2q + 8 and 2q + 9; a[3] row g + 8, those columns;
//   //   b[0] rows 2q and 2q + 1, column g; b[1] rows 2q + 8 and 2q + 9;
//   //   d[0], d[1] row g, columns 2q and 2q + 1; d[2], d[3] row g + 8.
//   void MmaBf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
//   void MmaF16(…likewise…);
//
//   // The special function unit's 2^x: within 2 ulp, denormals zero. For fast kernels alone.
//   float Exp2Approximate(float);
//
//   template <typename Kernel>
//   void Launch(Stream& stream, const Grid& grid, int threads, const typename Kernel::Args& args);
#if defined(__CUDACC__)
#include "kernels/cuda/simt_cuda.h"
#else
#include "simt_emulation.h"
#endif

#endif  // SSMD_KERNELS_CUDA_SIMT_H_
