// A GPU that is called as the CPU is: segments, token ids and row numbers of an op lie anywhere in
// host memory, and the op is done when it returns. For tests, whose tensors are in memory that the
// host and the GPU both reach: the default resource of std::pmr, where such indices are copied to.
#ifndef SSMD_TESTS_UNIT_KERNELS_HOST_INDEXED_DEVICE_H_
#define SSMD_TESTS_UNIT_KERNELS_HOST_INDEXED_DEVICE_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "kernels/device.h"

namespace ssmd::kernels {

class HostIndexedDevice final : public Device {
 public:
  explicit HostIndexedDevice(std::unique_ptr<Device> gpu)
      : gpu_(std::move(gpu)), byte_(gpu_->Allocate(1)) {}

  std::string name() const override { return gpu_->name(); }
  std::string profile(WeightFormat format) const override { return gpu_->profile(format); }
  int threads() const override { return gpu_->threads(); }
  void AdoptThread() override { gpu_->AdoptThread(); }
  std::string failure() const override { return gpu_->failure(); }

  Buffer Allocate(size_t bytes) override { return gpu_->Allocate(bytes); }
  Buffer AllocateStaging(size_t bytes) override { return gpu_->AllocateStaging(bytes); }
  std::optional<size_t> free_bytes() const override { return gpu_->free_bytes(); }
  void Zero(std::byte* data, size_t bytes) override;
  void Copy(std::byte* to, const std::byte* from, size_t bytes) override;
  void Download(std::byte* host, const std::byte* device, size_t bytes) override {
    gpu_->Download(host, device, bytes);
  }
  void Upload(std::byte* device, const std::byte* host, size_t bytes) override {
    gpu_->Upload(device, host, bytes);
  }

  PackedMatrix Pack(const MatrixSource& source, WeightFormat format) override {
    return gpu_->Pack(source, format);
  }
  std::string layout() const override { return gpu_->layout(); }
  size_t PackedSize(int64_t outputs, int64_t inputs, WeightFormat format) const override {
    return gpu_->PackedSize(outputs, inputs, format);
  }
  PackedMatrix Restore(const PackedBytes& packed) override { return gpu_->Restore(packed); }
  bool Keeps(WeightFormat format) const override { return gpu_->Keeps(format); }

  void Embed(const EmbedParams& params) override;
  void RmsNorm(const RmsNormParams& params) override;
  void MatMul(const MatMulParams& params) override;
  void ConvSilu(const ConvSiluParams& params) override;
  void SelectiveScan(const SelectiveScanParams& params) override;
  void SsdScan(const SsdScanParams& params) override;
  void GatedRmsNorm(const GatedRmsNormParams& params) override;
  void Sample(const SampleParams& params) override;
  void SampleHead(const SampleHeadParams& params) override;
  void Logprobs(const LogprobParams& params) override;
  void ModalScan(const ModalScanParams& params) override {
    RunOverSegments(&Device::ModalScan, params);
  }
  void ComplexScan(const ComplexScanParams& params) override {
    RunOverSegments(&Device::ComplexScan, params);
  }
  void DifferenceScan(const DifferenceScanParams& params) override {
    RunOverSegments(&Device::DifferenceScan, params);
  }
  void DenseScan(const DenseScanParams& params) override {
    RunOverSegments(&Device::DenseScan, params);
  }
  void LegsScan(const LegsScanParams& params) override {
    RunOverSegments(&Device::LegsScan, params);
  }
  void GroupNorm(const GroupNormParams& params) override;
  void Pointwise(const PointwiseParams& params) override;
  void TokenShift(const TokenShiftParams& params) override;
  void Rotate(const RotateParams& params) override;
  void Wkv4(const Wkv4Params& params) override;
  void Wkv6(const Wkv6Params& params) override;
  void Wkv7(const Wkv7Params& params) override;
  void MemoryScan(const MemoryScanParams& params) override;

 private:
  template <typename Params>
  void RunOverSegments(void (Device::*op)(const Params&), Params params);
  // Until the GPU is done. The test fails if the GPU has.
  void Wait();

  const std::unique_ptr<Device> gpu_;
  const Buffer byte_;  // something to wait for
};

}  // namespace ssmd::kernels

#endif  // SSMD_TESTS_UNIT_KERNELS_HOST_INDEXED_DEVICE_H_
