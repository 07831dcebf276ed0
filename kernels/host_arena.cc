#include "kernels/host_arena.h"

#include <sys/mman.h>

#include <atomic>
#include <memory>
#include <new>

#include "kernels/fault_point.h"
#include "kernels/host_memory.h"

namespace ssmd::kernels {
namespace {

constexpr size_t kBlockBytes = size_t{32} << 20;

FaultPoint arena_fault("memory.arena", FaultPoint::Kind::kAllocation);

// GCC says it with a macro, clang with a feature.
#if defined(__SANITIZE_ADDRESS__)
#define SSMD_ADDRESS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SSMD_ADDRESS_SANITIZED 1
#endif
#endif
#if defined(SSMD_ADDRESS_SANITIZED)
constexpr bool kSharesBlocks = false;  // so that the end of each allocation is guarded
#else
constexpr bool kSharesBlocks = true;
#endif

}  // namespace

// Address space whose pages the system gives, zeroed, when they are first touched. Deleted by the
// last of its users: the buffers in it, and the arena while it allocates from it.
struct HostArena::Block {
  Block()
      : mapping(mmap(nullptr, kBlockBytes + kHugePage, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (mapping == MAP_FAILED) return;
    void* aligned = mapping;
    size_t space = kBlockBytes + kHugePage;
    begin = static_cast<std::byte*>(std::align(kHugePage, kBlockBytes, aligned, space));
    madvise(begin, kBlockBytes, MADV_HUGEPAGE);  // a hint: ordinary pages serve as well
  }
  ~Block() {
    if (mapping != MAP_FAILED) munmap(mapping, kBlockBytes + kHugePage);
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  void* const mapping;
  std::byte* begin = nullptr;
  std::atomic<int64_t> users{1};
};

HostArena::~HostArena() {
  if (block_ != nullptr) Release(block_);
}

void HostArena::Release(Block* block) {
  if (block->users.fetch_sub(1, std::memory_order_acq_rel) == 1) delete block;
}

void HostArena::FreeInBlock(void* block, std::byte* /*data*/) {
  Release(static_cast<Block*>(block));
}

Buffer HostArena::Allocate(size_t bytes) {
  if (arena_fault.Hit()) return Buffer();
  if (!kSharesBlocks || bytes >= kHugeThreshold) return AllocateHost(bytes);
  const size_t rounded = (bytes + kHostAlignment - 1) / kHostAlignment * kHostAlignment;
  if (block_ == nullptr || kBlockBytes - used_ < rounded) {
    std::unique_ptr<Block> next(new (std::nothrow) Block);
    // Where a block is too much, the buffer alone may not be.
    if (next == nullptr || next->begin == nullptr) return AllocateHost(bytes);
    if (block_ != nullptr) Release(block_);
    block_ = next.release();
    used_ = 0;
  }
  block_->users.fetch_add(1, std::memory_order_relaxed);
  std::byte* data = block_->begin + used_;
  used_ += rounded;
  return Buffer(data, bytes, FreeInBlock, block_);
}

}  // namespace ssmd::kernels
