// A device that has memory and no arithmetic, for tests of what only moves bytes. It refuses
// allocations past `capacity_bytes`. One thread.
#ifndef SSMD_TESTS_SUPPORT_MEMORY_DEVICE_H_
#define SSMD_TESTS_SUPPORT_MEMORY_DEVICE_H_

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "kernels/device.h"

namespace ssmd::testing {

class MemoryDevice : public kernels::Device {
 public:
  explicit MemoryDevice(size_t capacity_bytes) : capacity_(capacity_bytes) {}

  std::string name() const override { return "memory"; }
  std::string profile(kernels::WeightFormat) const override { return name(); }
  int threads() const override { return 1; }

  kernels::Buffer Allocate(size_t bytes) override {
    if (bytes == 0 || bytes > capacity_) return kernels::Buffer();
    capacity_ -= bytes;
    void* data = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    std::memset(data, 0, bytes);
    return kernels::Buffer(
        static_cast<std::byte*>(data), bytes, [](void*, std::byte* freed) { std::free(freed); },
        nullptr);
  }
  void Zero(std::byte* data, size_t bytes) override { std::memset(data, 0, bytes); }
  void Copy(std::byte* to, const std::byte* from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }

  kernels::PackedMatrix Pack(const kernels::MatrixSource&, kernels::WeightFormat) override {
    return kernels::PackedMatrix();
  }
  std::string layout() const override { return "none"; }
  size_t PackedSize(int64_t, int64_t, kernels::WeightFormat) const override { return 0; }
  bool Keeps(kernels::WeightFormat) const override { return false; }
  kernels::PackedMatrix Restore(const kernels::PackedBytes&) override {
    return kernels::PackedMatrix();
  }
  void Embed(const kernels::EmbedParams&) override { std::abort(); }
  void RmsNorm(const kernels::RmsNormParams&) override { std::abort(); }
  void MatMul(const kernels::MatMulParams&) override { std::abort(); }
  void ConvSilu(const kernels::ConvSiluParams&) override { std::abort(); }
  void SelectiveScan(const kernels::SelectiveScanParams&) override { std::abort(); }
  void SsdScan(const kernels::SsdScanParams&) override { std::abort(); }
  void GatedRmsNorm(const kernels::GatedRmsNormParams&) override { std::abort(); }
  void Sample(const kernels::SampleParams&) override { std::abort(); }
  void SampleHead(const kernels::SampleHeadParams&) override { std::abort(); }
  void Logprobs(const kernels::LogprobParams&) override { std::abort(); }
  void GroupNorm(const kernels::GroupNormParams&) override { std::abort(); }
  void Pointwise(const kernels::PointwiseParams&) override { std::abort(); }
  void TokenShift(const kernels::TokenShiftParams&) override { std::abort(); }
  void Rotate(const kernels::RotateParams&) override { std::abort(); }
  void ModalScan(const kernels::ModalScanParams&) override { std::abort(); }
  void ComplexScan(const kernels::ComplexScanParams&) override { std::abort(); }
  void DifferenceScan(const kernels::DifferenceScanParams&) override { std::abort(); }
  void DenseScan(const kernels::DenseScanParams&) override { std::abort(); }
  void LegsScan(const kernels::LegsScanParams&) override { std::abort(); }
  void Wkv4(const kernels::Wkv4Params&) override { std::abort(); }
  void Wkv6(const kernels::Wkv6Params&) override { std::abort(); }
  void Wkv7(const kernels::Wkv7Params&) override { std::abort(); }
  void MemoryScan(const kernels::MemoryScanParams&) override { std::abort(); }

 private:
  size_t capacity_;
};

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_SUPPORT_MEMORY_DEVICE_H_
