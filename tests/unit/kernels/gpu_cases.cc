// The CUDA device, with its plain kernels and with the fast ones, on the first GPU or an emulated
// one (by SSMD_TEST_GPU_NAME, which names it). Tensors come from pinned memory, which kernels reach
// by its address on the host.
#include <gtest/gtest.h>

#include <memory_resource>
#include <new>
#include <unordered_map>

#include "tests/unit/kernels/device_cases.h"
#include "tests/unit/kernels/host_indexed_device.h"

namespace ssmd::kernels {
namespace {

class StagingResource final : public std::pmr::memory_resource {
 public:
  explicit StagingResource(Device* device) : device_(*device) {}

 private:
  void* do_allocate(size_t bytes, size_t /*alignment*/) override {
    Buffer buffer = device_.AllocateStaging(bytes);
    if (!buffer) throw std::bad_alloc();
    void* const data = buffer.data();
    buffers_.emplace(data, std::move(buffer));
    return data;
  }
  void do_deallocate(void* data, size_t /*bytes*/, size_t /*alignment*/) override {
    buffers_.erase(data);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  Device& device_;
  std::unordered_map<void*, Buffer> buffers_;
};

// What a Device gives is aligned for vectors, and so are a pool's blocks when that is asked for.
class AlignedPool final : public std::pmr::memory_resource {
 public:
  explicit AlignedPool(std::pmr::memory_resource* upstream) : pool_(upstream) {}

 private:
  static constexpr size_t kAlignment = 64;

  void* do_allocate(size_t bytes, size_t /*alignment*/) override {
    return pool_.allocate(bytes, kAlignment);
  }
  void do_deallocate(void* data, size_t bytes, size_t /*alignment*/) override {
    pool_.deallocate(data, bytes, kAlignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  std::pmr::unsynchronized_pool_resource pool_;
};

// Has all tensors of the program in memory of the GPU's, where there is one.
class TensorsOnTheGpu final : public testing::Environment {
 public:
  void SetUp() override {
    std::string error;  // which the tests say, each of its own device
    device_ = MakeCudaDevice({}, &error);
    if (device_ == nullptr) return;
    staging_ = std::make_unique<StagingResource>(device_.get());
    pool_ = std::make_unique<AlignedPool>(staging_.get());
    std::pmr::set_default_resource(pool_.get());
  }
  void TearDown() override {
    std::pmr::set_default_resource(nullptr);
    pool_.reset();
    staging_.reset();
    device_.reset();
  }

 private:
  std::unique_ptr<Device> device_;
  std::unique_ptr<StagingResource> staging_;
  std::unique_ptr<AlignedPool> pool_;
};

[[maybe_unused]] testing::Environment* const environment =
    testing::AddGlobalTestEnvironment(new TensorsOnTheGpu);

DeviceCase CaseOf(bool plain) {
  DeviceCase c;
  c.name = std::string(SSMD_TEST_GPU_NAME) + (plain ? "_plain" : "");
  c.make = [plain](int /*threads*/, std::string* error) -> std::unique_ptr<Device> {
    CudaOptions options;
    options.plain = plain;
    std::unique_ptr<Device> gpu = MakeCudaDevice(options, error);
    if (gpu == nullptr) return nullptr;
    return std::make_unique<HostIndexedDevice>(std::move(gpu));
  };
  c.bitwise = plain;
  c.tolerance = plain ? 0 : 2e-5;  // what fast_ops.h states at most
  c.slow = SSMD_TEST_GPU_IS_SLOW;
  return c;
}

}  // namespace

std::vector<DeviceCase> DeviceCases() { return {CaseOf(true), CaseOf(false)}; }

}  // namespace ssmd::kernels
