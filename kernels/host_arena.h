// Small host memory side by side on huge pages. A model's weights are hundreds of matrices of a
// megabyte or two, each of which would lie on ordinary pages if it were allocated by itself; a
// decode step reads all of them once, and read bandwidth from ordinary pages is some 20% less.
//
// Thread-compatible; what it allocates may be freed on any thread.
#ifndef SSMD_KERNELS_HOST_ARENA_H_
#define SSMD_KERNELS_HOST_ARENA_H_

#include "kernels/tensor.h"

namespace ssmd::kernels {

class HostArena {
 public:
  HostArena() = default;
  ~HostArena();
  HostArena(const HostArena&) = delete;
  HostArena& operator=(const HostArena&) = delete;

  // 64-byte aligned and zeroed; empty when there is not enough memory. bytes > 0. A block of the
  // arena returns to the system when nothing in it is used any more.
  Buffer Allocate(size_t bytes);

 private:
  struct Block;

  static void Release(Block* block);
  static void FreeInBlock(void* block, std::byte* data);

  Block* block_ = nullptr;  // from which is allocated now
  size_t used_ = 0;         // bytes of it
};

}  // namespace ssmd::kernels

#endif  // SSMD_KERNELS_HOST_ARENA_H_
