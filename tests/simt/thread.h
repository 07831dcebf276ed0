// A thread of a block, as kernels' calls see it: its place, what it waits for, and the copies that
// it has under way.
//
// A call that waits writes what it asks for here and suspends the fiber; the scheduler
// (block_run.h) reads it when all who must have come have come, writes the answer, and resumes.
//
// For simt_emulation.h to include; others include kernels/cuda/simt.h.
#ifndef SSMD_TESTS_SIMT_THREAD_H_
#define SSMD_TESTS_SIMT_THREAD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/simt/fiber.h"

namespace ssmd::kernels::cuda {
class Block;
}

namespace ssmd::simt {

inline constexpr int kThreadsMax = 1024;  // of a block
inline constexpr int kWarpsMax = kThreadsMax / kernels::cuda::kWarpThreads;

// A kernel and how it is launched.
struct KernelCall {
  const char* name;
  kernels::cuda::Grid grid;
  int threads;
  int kernel_threads;  // Kernel::kThreads
  size_t shared_bytes;
  size_t args_bytes;
  bool overlaps;  // kernels before it (simt.h)
  void (*run)(const kernels::cuda::Block& block, const void* args);
};

// What threads of a block wait for one another in; Mma's answer goes to the lanes' own arrays.
enum class Call : uint8_t { kSync, kSyncAny, kSyncWarp, kShuffle, kBallot, kMma };

// Where in a kernel's source.
struct Place {
  const char* file;
  int line;
};

// A lane's part of a product (simt.h).
struct Fragments {
  float* d;
  const uint32_t* a;
  const uint32_t* b;
  float (*widen)(uint16_t bits);  // of bf16 or f16
};

// Clocks of the barriers of a block. There are two of each, used in turn: whoever is late to leave
// a barrier must not learn of what others did after it.
struct BarrierClocks {
  char block[2];
  char warp[kWarpsMax][2];
};

struct BlockFacts {
  const KernelCall* call;
  uint64_t seed;
  int64_t x, y, z;
  std::byte* shared;
  BarrierClocks* clocks;
  char* before;  // the clock of earlier kernels
};

// Copies of 16 bytes that have been issued and have not arrived.
class AsyncCopies {
 public:
  void Add(void* to, const void* from);
  void Commit();
  // Until no more than `pending` groups are on their way.
  void Wait(int pending);
  void Clear();

 private:
  struct Copy {
    void* to;
    std::array<std::byte, 16> bytes;
  };
  std::vector<Copy> copies_;
  std::vector<size_t> group_sizes_;  // of those committed, oldest first
};

struct Thread {
  explicit Thread(Fiber* on) : fiber(on) {}

  // Makes a call and comes back with its answer. `value` and `lane` are as the call has them.
  uint64_t Wait(Call what, Place at, uint64_t given = 0, int of_lane = 0);
  void Multiply(const Fragments& mine, Place at);
  // Ends the test: this thread did what a kernel must not do.
  [[noreturn]] void Fail(const char* what) const;

  int lane() const { return index % kernels::cuda::kWarpThreads; }
  int warp() const { return index / kernels::cuda::kWarpThreads; }

  Fiber* const fiber;
  const BlockFacts* block = nullptr;
  int index = 0;
  unsigned block_calls = 0, warp_calls = 0;  // that were barriers
  bool waited = false;                       // for earlier kernels
  AsyncCopies copies;

  // The call it waits in.
  bool waits = false;
  Call call = Call::kSync;
  Place place = {};
  uint64_t value = 0;  // given, then answered
  int source = 0;      // lane of a shuffle
  Fragments fragments = {};
};

// AsyncCopy16 of `thread`. The bytes are read now and written when the thread waits for them; until
// then there are others.
void AsyncCopy(Thread& thread, void* shared, const void* global);

// The one that runs now on this OS thread.
inline constinit thread_local Thread* current_thread = nullptr;

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_THREAD_H_
