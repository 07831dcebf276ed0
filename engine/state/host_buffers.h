// Host memory for states that come from a device, of the kind that it copies to best. For a GPU
// that is pinned memory, which takes 0.3 ms a MiB to allocate: so what is let go of is kept for the
// next one.
//
// The step thread's. What Take() gave may be let go of on any thread. What is still out when this
// is destroyed stays the process's to its end: nobody but the device's thread could free it.
#ifndef SSMD_ENGINE_STATE_HOST_BUFFERS_H_
#define SSMD_ENGINE_STATE_HOST_BUFFERS_H_

#include <cstddef>
#include <memory>

#include "kernels/device.h"

namespace ssmd {

class HostBuffers {
 public:
  // Of `bytes` each, > 0.
  HostBuffers(kernels::Device* device, size_t bytes);
  ~HostBuffers();
  HostBuffers(const HostBuffers&) = delete;
  HostBuffers& operator=(const HostBuffers&) = delete;

  // With anything in it; null when there is not enough memory.
  std::shared_ptr<kernels::Buffer> Take();

  size_t idle() const;  // kept for the next ones
  void FreeOne();       // of those; REQUIRES: there is one

 private:
  struct Shelf;

  kernels::Device* const device_;
  const size_t bytes_;
  const std::shared_ptr<Shelf> shelf_;  // outlives this while buffers are out
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_HOST_BUFFERS_H_
