// A MemoryDevice whose downloads are done as late as they may be: in part not before somebody has
// asked for them several times, waits, or puts them before what follows. Until then their host
// memory holds garbage, and whoever changes what is still to be read changes what arrives.
#ifndef SSMD_TESTS_SUPPORT_LATE_DEVICE_H_
#define SSMD_TESTS_SUPPORT_LATE_DEVICE_H_

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/support/memory_device.h"

namespace ssmd::testing {

class LateDevice : public MemoryDevice {
 public:
  // `late`: false for a plain MemoryDevice.
  explicit LateDevice(uint32_t seed, bool late = true)
      : MemoryDevice(1 << 20), random_(seed), late_(late) {}

  std::string failure() const override { return failed; }
  bool overlaps_downloads() const override { return late_; }
  kernels::Buffer AllocateStaging(size_t bytes) override {
    if (no_staging) return kernels::Buffer();
    ++staging_buffers;
    return Allocate(bytes);
  }
  std::unique_ptr<kernels::Transfer> StartDownload(std::byte* host, const std::byte* device,
                                                   size_t bytes) override {
    ++downloads;
    if (!late_) return MemoryDevice::StartDownload(host, device, bytes);
    std::memset(host, 0xA5, bytes);
    return std::make_unique<Late>(this, host, device, bytes);
  }
  // Arrives at once, but its host memory has to stay as it is for as long.
  std::unique_ptr<kernels::Transfer> StartUpload(std::byte* device, const std::byte* host,
                                                 size_t bytes) override {
    Upload(device, host, bytes);
    if (!late_) return nullptr;
    auto kept = std::make_unique<std::vector<std::byte>>(host, host + bytes);
    return std::make_unique<Late>(this, host, std::move(kept));
  }

  int downloads = 0;
  int staging_buffers = 0;
  bool no_staging = false;
  bool stuck = false;  // nobody sees a transfer done by asking
  std::string failed;

 private:
  class Late : public kernels::Transfer {
   public:
    Late(LateDevice* owner, std::byte* to, const std::byte* from, size_t bytes)
        : owner_(owner), to_(to), from_(from), bytes_(bytes) {}
    Late(LateDevice* owner, const std::byte* host, std::unique_ptr<std::vector<std::byte>> kept)
        : owner_(owner), from_(host), bytes_(kept->size()), kept_(std::move(kept)) {}
    ~Late() override { EXPECT_TRUE(done_) << "its memory may be gone before it is"; }

    bool Done() override {
      if (!done_ && !owner_->stuck && owner_->random_() % 3 == 0) Wait();
      return done_ = done_ || !owner_->failed.empty();
    }
    void Wait() override {
      if (!done_ && kept_ != nullptr) {
        EXPECT_EQ(std::memcmp(from_, kept_->data(), bytes_), 0) << "changed while it was read";
      } else if (!done_ && owner_->failed.empty()) {
        std::memcpy(to_, from_, bytes_);
      }
      done_ = true;
    }
    void HoldOps() override { Wait(); }

   private:
    LateDevice* const owner_;
    std::byte* const to_ = nullptr;
    const std::byte* const from_;
    const size_t bytes_;
    const std::unique_ptr<std::vector<std::byte>> kept_;
    bool done_ = false;
  };

  std::mt19937 random_;
  const bool late_;
};

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_SUPPORT_LATE_DEVICE_H_
