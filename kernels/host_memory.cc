#include "kernels/host_memory.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels/fault_point.h"

namespace ssmd::kernels {
namespace {

FaultPoint host_fault("memory.host", FaultPoint::Kind::kAllocation);

void FreeHost(void* /*context*/, std::byte* data) { std::free(data); }

}  // namespace

Buffer AllocateHost(size_t bytes) {
  const size_t alignment = bytes >= kHugeThreshold ? kHugePage : kHostAlignment;
  if (bytes == 0 || bytes > std::numeric_limits<size_t>::max() - alignment) return Buffer();
  const size_t rounded = (bytes + kHostAlignment - 1) / kHostAlignment * kHostAlignment;
  // posix_memalign, as aligned_alloc wants a multiple of the alignment, which would round a large
  // buffer up to whole huge pages.
  void* data = nullptr;
  if (host_fault.Hit() || posix_memalign(&data, alignment, rounded) != 0) return Buffer();
  // A hint: where it is refused, ordinary pages serve. Before the first touch, or it comes too
  // late.
  if (alignment == kHugePage) madvise(data, rounded, MADV_HUGEPAGE);
  std::memset(data, 0, rounded);
  return Buffer(static_cast<std::byte*>(data), bytes, FreeHost, nullptr);
}

bool GrowHost(Buffer& buffer, size_t bytes) {
  if (buffer.bytes() < bytes) buffer = AllocateHost(bytes);
  return static_cast<bool>(buffer);
}

PackedMatrix CopyPacked(const PackedBytes& packed, Buffer data) {
  PackedMatrix matrix;
  matrix.outputs = packed.outputs;
  matrix.inputs = packed.inputs;
  matrix.format = packed.format;
  matrix.data = std::move(data);
  if (matrix.data) std::memcpy(matrix.data.data(), packed.data, packed.bytes);
  return matrix;
}

}  // namespace ssmd::kernels
