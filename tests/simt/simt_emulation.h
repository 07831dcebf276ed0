// kernels/cuda/simt.h on the CPU, for tests: threads of a block are fibers (thread.h), run in an
// order made from a seed. See README.md.
#ifndef SSMD_TESTS_SIMT_SIMT_EMULATION_H_
#define SSMD_TESTS_SIMT_SIMT_EMULATION_H_

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cuda/runtime.h"
#include "kernels/number_format.h"
#include "tests/simt/sanitizers.h"
#include "tests/simt/thread.h"

#define SIMT_DEVICE inline __attribute__((unused))
#define SIMT_BOTH inline __attribute__((unused))
#define SIMT_UNROLL

namespace ssmd::kernels::cuda {

// The calls that wait know the line they are on, for messages and to tell one from another.
class Block {
 public:
  explicit Block(simt::Thread* thread) : thread_(thread), facts_(thread->block) {}

  int thread() const { return thread_->index; }
  int threads() const { return facts_->call->threads; }
  int lane() const { return thread_->lane(); }
  int warp() const { return thread_->warp(); }
  int64_t x() const { return facts_->x; }
  int64_t y() const { return facts_->y; }
  int64_t z() const { return facts_->z; }
  int64_t grid_x() const { return facts_->call->grid.x; }
  int64_t grid_y() const { return facts_->call->grid.y; }
  int64_t grid_z() const { return facts_->call->grid.z; }

  void Sync(const char* file = __builtin_FILE(), int line = __builtin_LINE()) const {
    thread_->Wait(simt::Call::kSync, {file, line});
  }
  void SyncWarp(const char* file = __builtin_FILE(), int line = __builtin_LINE()) const {
    thread_->Wait(simt::Call::kSyncWarp, {file, line});
  }
  bool SyncAny(bool mine, const char* file = __builtin_FILE(), int line = __builtin_LINE()) const {
    return thread_->Wait(simt::Call::kSyncAny, {file, line}, mine) != 0;
  }

  void WaitForEarlierKernels() const {
    simt::AcquireClock(facts_->before);
    thread_->waited = true;
  }
  void LetNextKernelStart() const {}

  template <typename T>
  T& shared() const {
    if (sizeof(T) != facts_->call->shared_bytes) {
      thread_->Fail("asks for shared memory that is not its kernel's Shared");
    }
    return *reinterpret_cast<T*>(facts_->shared);
  }

  template <typename T>
  T Shuffle(T value, int lane, const char* file = __builtin_FILE(),
            int line = __builtin_LINE()) const {
    static_assert(std::is_trivially_copyable_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
    if (lane < 0 || lane >= kWarpThreads) {
      thread_->Fail("asks for the value of a lane outside of 0 to 31");
    }
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    bits = thread_->Wait(simt::Call::kShuffle, {file, line}, bits, lane);
    std::memcpy(&value, &bits, sizeof(T));
    return value;
  }
  template <typename T>
  T ShuffleXor(T value, int mask, const char* file = __builtin_FILE(),
               int line = __builtin_LINE()) const {
    return Shuffle(value, lane() ^ mask, file, line);
  }
  uint32_t Ballot(bool mine, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) const {
    return static_cast<uint32_t>(thread_->Wait(simt::Call::kBallot, {file, line}, mine));
  }

 private:
  simt::Thread* const thread_;
  const simt::BlockFacts* const facts_;
};

SIMT_DEVICE float Fma(float a, float b, float c) { return std::fma(a, b, c); }
SIMT_DEVICE double Fma(double a, double b, double c) { return std::fma(a, b, c); }
SIMT_DEVICE float Sqrt(float x) { return std::sqrt(x); }
SIMT_DEVICE double Sqrt(double x) { return std::sqrt(x); }
SIMT_DEVICE float Divide(float a, float b) { return a / b; }
SIMT_DEVICE float Abs(float x) { return std::fabs(x); }
SIMT_DEVICE uint32_t BitsOf(float x) { return std::bit_cast<uint32_t>(x); }
SIMT_DEVICE float FloatOf(uint32_t bits) { return std::bit_cast<float>(bits); }
SIMT_DEVICE uint64_t BitsOf(double x) { return std::bit_cast<uint64_t>(x); }
SIMT_DEVICE double DoubleOf(uint64_t bits) { return std::bit_cast<double>(bits); }
SIMT_DEVICE float RoundNearest(float x) { return std::nearbyint(x); }
// What is too large becomes the nearest there is, and a NaN 0, as on the device.
SIMT_DEVICE int32_t ToIntNearest(float x) {
  if (x != x) return 0;
  if (x >= 0x1p31f) return INT32_MAX;
  if (x < -0x1p31f) return INT32_MIN;
  return static_cast<int32_t>(std::nearbyint(x));
}
SIMT_DEVICE uint32_t MultiplyHigh(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>(uint64_t{a} * b >> 32);
}
SIMT_DEVICE int PopCount(uint32_t x) { return std::popcount(x); }
SIMT_DEVICE int LeadingZeros(uint32_t x) { return std::countl_zero(x); }
SIMT_DEVICE int TrailingZeros(uint32_t x) { return std::countr_zero(x); }

SIMT_DEVICE float HalfToFloat(uint16_t bits) { return WidenF16(bits); }
SIMT_DEVICE uint16_t FloatToHalf(float value) { return RoundToF16(value); }

SIMT_DEVICE uint32_t PackBf16(float low, float high) {
  return RoundToBf16(low) | uint32_t{RoundToBf16(high)} << 16;
}

SIMT_DEVICE int32_t DotInt8(uint32_t a, uint32_t b, int32_t sum) {
  auto total = static_cast<uint32_t>(sum);  // wraps, as on the device
  for (int shift = 0; shift < 32; shift += 8) {
    const int product = static_cast<int8_t>(a >> shift) * static_cast<int8_t>(b >> shift);
    total += static_cast<uint32_t>(product);
  }
  return static_cast<int32_t>(total);
}

// By bits: kernels run with denormals off, and these are exact with them. A result that is not a
// bf16 by itself is rounded twice.
SIMT_DEVICE double WidenBf16Exactly(uint32_t bf16) {
  const double magnitude = (bf16 & 0x7F80) == 0 ? (bf16 & 0x7F) * 0x1p-133
                                                : WidenBf16(static_cast<uint16_t>(bf16 & 0x7FFF));
  return (bf16 & 0x8000) != 0 ? -magnitude : magnitude;
}
SIMT_DEVICE uint32_t FmaBf16x2(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t d = 0;
  for (int shift = 0; shift < 32; shift += 16) {
    const double sum =
        WidenBf16Exactly(a >> shift & 0xFFFF) * WidenBf16Exactly(b >> shift & 0xFFFF) +
        WidenBf16Exactly(c >> shift & 0xFFFF);
    d |= uint32_t{RoundToBf16(static_cast<float>(sum))} << shift;
  }
  return d;
}

SIMT_DEVICE int32_t AtomicAdd(int32_t* to, int32_t value) {
  return __atomic_fetch_add(to, value, __ATOMIC_RELAXED);
}
SIMT_DEVICE uint32_t AtomicAdd(uint32_t* to, uint32_t value) {
  return __atomic_fetch_add(to, value, __ATOMIC_RELAXED);
}
SIMT_DEVICE uint64_t AtomicAdd(uint64_t* to, uint64_t value) {
  return __atomic_fetch_add(to, value, __ATOMIC_RELAXED);
}
SIMT_DEVICE uint32_t AtomicOr(uint32_t* to, uint32_t value) {
  return __atomic_fetch_or(to, value, __ATOMIC_RELAXED);
}
template <typename T>
SIMT_DEVICE T AtomicMaxOf(T* to, T value) {
  T old = __atomic_load_n(to, __ATOMIC_RELAXED);
  while (old < value &&
         !__atomic_compare_exchange_n(to, &old, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}
SIMT_DEVICE uint32_t AtomicMax(uint32_t* to, uint32_t value) { return AtomicMaxOf(to, value); }
SIMT_DEVICE uint64_t AtomicMax(uint64_t* to, uint64_t value) { return AtomicMaxOf(to, value); }

template <typename T>
SIMT_DEVICE T LoadReadOnly(const T* from) {
  if (reinterpret_cast<uintptr_t>(from) % alignof(T) != 0) {
    simt::current_thread->Fail("loads from an address that is not aligned for the type");
  }
  return *from;
}
SIMT_DEVICE Words4 LoadStreaming(const Words4* from) { return LoadReadOnly(from); }

// Blocks run one after another; only ThreadSanitizer is to be told.
inline char device_clock;
SIMT_DEVICE void FenceDevice() {
  simt::AcquireClock(&device_clock);
  simt::ReleaseClock(&device_clock);
}
SIMT_DEVICE float LoadCoherent(const float* from) { return *from; }

SIMT_DEVICE void AsyncCopy16(void* shared, const void* global) {
  simt::AsyncCopy(*simt::current_thread, shared, global);
}
SIMT_DEVICE void AsyncCommit() { simt::current_thread->copies.Commit(); }
template <int kPending>
SIMT_DEVICE void AsyncWait() {
  static_assert(kPending >= 0);
  simt::current_thread->copies.Wait(kPending);
}

// The order in which the device adds is not known. Here: k ascending onto d, in double, of exact
// products, rounded once.
SIMT_DEVICE void MmaBf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                         const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  simt::current_thread->Multiply({d, a, b, WidenBf16}, {file, line});
}
SIMT_DEVICE void MmaF16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                        const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  simt::current_thread->Multiply({d, a, b, WidenF16}, {file, line});
}

SIMT_DEVICE float Exp2Approximate(float x) {
  constexpr float kSmallest = 0x1p-126f;  // normal number
  const float y = std::exp2(std::fabs(x) < kSmallest ? 0.0f : x);
  return y < kSmallest ? 0.0f : y;
}

// The bytes of a kernel's Shared, or 0.
template <typename Kernel, typename = void>
struct SharedBytes {
  static constexpr size_t kValue = 0;
};
template <typename Kernel>
struct SharedBytes<Kernel, std::void_t<typename Kernel::Shared>> {
  static constexpr size_t kValue = sizeof(typename Kernel::Shared);
};

// A kernel's kOverlaps, or false.
template <typename Kernel, typename = void>
struct Overlaps {
  static constexpr bool kValue = false;
};
template <typename Kernel>
struct Overlaps<Kernel, std::void_t<decltype(Kernel::kOverlaps)>> {
  static constexpr bool kValue = Kernel::kOverlaps;
};

// Of emulated_stream.cc: puts a kernel and a copy of its arguments on a stream.
void Enqueue(Stream& stream, const simt::KernelCall& call, const void* args);

template <typename Kernel>
void Launch(Stream& stream, const Grid& grid, int threads, const typename Kernel::Args& args) {
  using Args = typename Kernel::Args;
  static_assert(std::is_trivially_copyable_v<Args>);
  static_assert(alignof(Args) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
  static_assert(Kernel::kThreads % kWarpThreads == 0);
  simt::KernelCall call = {};
  call.name = Kernel::kName;
  call.grid = grid;
  call.threads = threads;
  call.kernel_threads = Kernel::kThreads;
  call.shared_bytes = SharedBytes<Kernel>::kValue;
  call.args_bytes = sizeof(Args);
  call.overlaps = Overlaps<Kernel>::kValue;
  call.run = [](const Block& block, const void* copy) {
    Kernel::Run(block, *static_cast<const Args*>(copy));
  };
  Enqueue(stream, call, &args);
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_TESTS_SIMT_SIMT_EMULATION_H_
