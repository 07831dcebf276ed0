// Copies between the CUDA device and host memory that go on beside its ops, in whatever order the
// emulated streams come to them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "tests/simt/simt_control.h"

namespace ssmd::kernels::cuda {
namespace {

constexpr size_t kBytes = 4096;
constexpr uint64_t kOrders = 20;

// A device of a GPU whose streams come to their work in the seed's order.
std::unique_ptr<Device> DeviceOf(uint64_t seed) {
  simt::ResetControl();
  simt::SetSeed(seed);
  std::string error;
  auto device = MakeCudaDevice({}, &error);
  EXPECT_NE(device, nullptr) << error;
  return device;
}

Buffer Filled(Device& device, int value) {
  Buffer buffer = device.AllocateStaging(kBytes);
  std::memset(buffer.data(), value, kBytes);
  return buffer;
}

bool IsAll(const std::byte* data, int value) {
  return std::all_of(data, data + kBytes,
                     [&](std::byte byte) { return byte == static_cast<std::byte>(value); });
}

class CudaTransferTest : public ::testing::TestWithParam<uint64_t> {
 protected:
  ~CudaTransferTest() override { simt::ResetControl(); }

  const std::unique_ptr<Device> device_ = DeviceOf(GetParam());
  const Buffer a_ = device_->Allocate(kBytes), b_ = device_->Allocate(kBytes);
  const Buffer host_ = Filled(*device_, 7);
};

TEST_P(CudaTransferTest, ADownloadSeesWhatWasBeforeIt) {
  const Buffer source = Filled(*device_, 1);
  const auto upload = device_->StartUpload(a_.data(), source.data(), kBytes);
  device_->Copy(b_.data(), a_.data(), kBytes);
  const auto download = device_->StartDownload(host_.data(), b_.data(), kBytes);
  while (!download->Done()) {
  }
  EXPECT_TRUE(IsAll(host_.data(), 1));
  EXPECT_TRUE(upload->Done()) << "it was before that";
}

TEST_P(CudaTransferTest, WhatIsHeldComesAfterIt) {
  const Buffer source = Filled(*device_, 1);
  device_->Upload(a_.data(), source.data(), kBytes);
  const auto download = device_->StartDownload(host_.data(), a_.data(), kBytes);
  download->HoldOps();
  device_->Zero(a_.data(), kBytes);
  const Buffer after = device_->AllocateStaging(kBytes);
  device_->Download(after.data(), a_.data(), kBytes);
  EXPECT_TRUE(download->Done());
  EXPECT_TRUE(IsAll(host_.data(), 1));
  EXPECT_TRUE(IsAll(after.data(), 0));
}

TEST_P(CudaTransferTest, AnUploadFromWhatIsOnItsWay) {
  const Buffer source = Filled(*device_, 3);
  device_->Upload(a_.data(), source.data(), kBytes);
  const auto download = device_->StartDownload(host_.data(), a_.data(), kBytes);
  download->HoldOps();
  device_->Zero(a_.data(), kBytes);
  const auto upload = device_->StartUpload(b_.data(), host_.data(), kBytes);
  const Buffer after = device_->AllocateStaging(kBytes);
  device_->Download(after.data(), b_.data(), kBytes);
  EXPECT_TRUE(IsAll(after.data(), 3));
  EXPECT_TRUE(upload->Done());
}

TEST_P(CudaTransferTest, AFailureIsAnEnd) {
  simt::FailCopy(1, "unplugged");
  const auto download = device_->StartDownload(host_.data(), a_.data(), kBytes);
  download->Wait();
  EXPECT_TRUE(download->Done());
  EXPECT_EQ(device_->failure().find("unplugged"), 0u) << device_->failure();
  EXPECT_TRUE(device_->StartUpload(a_.data(), host_.data(), kBytes)->Done());
}

INSTANTIATE_TEST_SUITE_P(Orders, CudaTransferTest, ::testing::Range(uint64_t{1}, kOrders));

TEST(CudaTransferOrders, SomeOpsAreDoneBeforeADownload) {
  uint64_t under_way = 0;
  for (uint64_t seed = 1; seed < kOrders; ++seed) {
    const auto device = DeviceOf(seed);
    const Buffer memory = device->Allocate(kBytes);
    const Buffer host = device->AllocateStaging(kBytes);
    const auto download = device->StartDownload(host.data(), memory.data(), kBytes);
    const Buffer source = Filled(*device, 5);
    const Buffer other = device->Allocate(kBytes);
    device->Upload(other.data(), source.data(), kBytes);
    under_way += download->Done() ? 0 : 1;
    download->Wait();
  }
  simt::ResetControl();
  EXPECT_GT(under_way, 0u);
  EXPECT_LT(under_way, kOrders - 1);
}

}  // namespace
}  // namespace ssmd::kernels::cuda
