// Memory of a GPU, and pinned host memory, as Buffers; and the way in for small data that changes
// with every step.
#ifndef SSMD_KERNELS_CUDA_STAGING_H_
#define SSMD_KERNELS_CUDA_STAGING_H_

#include <array>
#include <cstddef>
#include <memory>

#include "kernels/cuda/runtime.h"
#include "kernels/tensor.h"

namespace ssmd::kernels::cuda {

// Not zeroed. Empty when there is not enough. The Gpu must outlive it; its streams come to rest
// before it is given back.
Buffer AllocateOn(Gpu& gpu, size_t bytes);
Buffer AllocatePinned(Gpu& gpu, size_t bytes);

// Data that the host writes and kernels read: a place on the device, and two in host memory that
// take turns, so that the host can write while the last copy is under way.
class Staging {
 public:
  // False when there is not enough memory, and then it must not be used.
  bool Reserve(Gpu& gpu, size_t bytes);
  size_t bytes() const { return device_.bytes(); }

  // Where to write what the next Send sends; waits until the GPU is done with it.
  std::byte* host();
  // Copies the first `bytes` of it to device(), in the stream's order.
  void Send(Stream& stream, size_t bytes);
  std::byte* device() const { return device_.data(); }

 private:
  struct Side {
    Buffer memory;
    std::unique_ptr<Event> copied;
  };
  Buffer device_;
  std::array<Side, 2> sides_;
  size_t turn_ = 0;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_STAGING_H_
