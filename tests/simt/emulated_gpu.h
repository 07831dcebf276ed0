// A GPU on the CPU: memory that is counted, and streams whose work is done when somebody waits for
// it, in an order made from the seed.
#ifndef SSMD_TESTS_SIMT_EMULATED_GPU_H_
#define SSMD_TESTS_SIMT_EMULATED_GPU_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/cuda/runtime.h"
#include "tests/simt/random.h"

namespace ssmd::simt {

class EmulatedStream;

// Blocks of memory that were given out. Of just the size that was asked for, filled with garbage.
class Memory {
 public:
  // Null where there is none.
  void* Allocate(size_t bytes);
  void Free(void* memory);  // REQUIRES: SizeOf(memory) > 0

  size_t SizeOf(const void* memory) const;  // as Allocate gave it; 0 if it did not

  bool Has(const void* at, size_t bytes) const;  // all of it within one block
  size_t used_bytes() const { return used_bytes_; }
  size_t blocks() const { return blocks_.size(); }

 private:
  std::map<const std::byte*, size_t> blocks_;
  size_t used_bytes_ = 0;
};

class EmulatedGpu : public kernels::cuda::Gpu {
 public:
  explicit EmulatedGpu(const kernels::cuda::GpuFacts& facts);
  ~EmulatedGpu() override;

  const kernels::cuda::GpuFacts& facts() const override { return facts_; }
  void Adopt() override {}
  void Synchronize() override;
  void* Allocate(size_t bytes) override;
  void Free(void* memory) override;
  void* AllocatePinned(size_t bytes) override;
  void FreePinned(void* memory) override;
  size_t free_bytes() override;
  std::unique_ptr<kernels::cuda::Stream> MakeStream() override;
  std::string failure() const override;

  bool failed() const;
  // The first is kept; streams forget what they have to do.
  void Fail(const std::string& text);

  Random& random() { return random_; }
  const Memory& device_memory() const { return device_memory_; }
  const Memory& pinned_memory() const { return pinned_memory_; }

  void Remove(EmulatedStream* stream);
  // Lets any stream that can do what is next for it. False if none can.
  bool Advance();

 private:
  void Free(Memory& from, void* memory, const std::string& what);

  const kernels::cuda::GpuFacts facts_;
  Random random_;
  Memory device_memory_, pinned_memory_;
  std::vector<EmulatedStream*> streams_;

  mutable std::mutex mutex_;
  std::string failure_;  // guarded by mutex_
};

}  // namespace ssmd::simt

#endif  // SSMD_TESTS_SIMT_EMULATED_GPU_H_
