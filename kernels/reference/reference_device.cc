// The oracle as a Device (see ops.h).
#include <cstring>

#include "kernels/device.h"
#include "kernels/host_memory.h"
#include "kernels/reference/ops.h"

namespace ssmd::kernels {
namespace {

class ReferenceDevice final : public Device {
 public:
  std::string name() const override { return "reference/f64"; }
  std::string profile(WeightFormat /*format*/) const override { return name(); }
  int threads() const override { return 1; }

  Buffer Allocate(size_t bytes) override { return AllocateHost(bytes); }
  void Zero(std::byte* data, size_t bytes) override { std::memset(data, 0, bytes); }
  void Copy(std::byte* to, const std::byte* from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  PackedMatrix Pack(const MatrixSource& source, WeightFormat format) override {
    return reference::Pack(source, format);
  }

  std::string layout() const override { return "reference 1"; }
  size_t PackedSize(int64_t outputs, int64_t inputs, WeightFormat format) const override {
    return reference::PackedSize(outputs, inputs, format);
  }
  bool Keeps(WeightFormat /*format*/) const override { return true; }
  PackedMatrix Restore(const PackedBytes& packed) override {
    return CopyPacked(packed, AllocateHost(packed.bytes));
  }

  void Embed(const EmbedParams& params) override { reference::Embed(params); }
  void RmsNorm(const RmsNormParams& params) override { reference::RmsNorm(params); }
  void MatMul(const MatMulParams& params) override { reference::MatMul(params); }
  void ConvSilu(const ConvSiluParams& params) override { reference::ConvSilu(params); }
  void SelectiveScan(const SelectiveScanParams& params) override {
    reference::SelectiveScan(params);
  }
  void SsdScan(const SsdScanParams& params) override { reference::SsdScan(params); }
  void GatedRmsNorm(const GatedRmsNormParams& params) override { reference::GatedRmsNorm(params); }
  void Sample(const SampleParams& params) override { reference::Sample(params); }
  void SampleHead(const SampleHeadParams& params) override { reference::SampleHead(params); }
  void Logprobs(const LogprobParams& params) override { reference::Logprobs(params); }
  void ModalScan(const ModalScanParams& params) override { reference::ModalScan(params); }
  void ComplexScan(const ComplexScanParams& params) override { reference::ComplexScan(params); }
  void DifferenceScan(const DifferenceScanParams& params) override {
    reference::DifferenceScan(params);
  }
  void DenseScan(const DenseScanParams& params) override { reference::DenseScan(params); }
  void LegsScan(const LegsScanParams& params) override { reference::LegsScan(params); }

  void GroupNorm(const GroupNormParams& params) override { reference::GroupNorm(params); }
  void Pointwise(const PointwiseParams& params) override { reference::Pointwise(params); }
  void TokenShift(const TokenShiftParams& params) override { reference::TokenShift(params); }
  void Rotate(const RotateParams& params) override { reference::Rotate(params); }
  void Wkv4(const Wkv4Params& params) override { reference::Wkv4(params); }
  void Wkv6(const Wkv6Params& params) override { reference::Wkv6(params); }
  void Wkv7(const Wkv7Params& params) override { reference::Wkv7(params); }
  void MemoryScan(const MemoryScanParams& params) override { reference::MemoryScan(params); }
};

}  // namespace

std::unique_ptr<Device> MakeReferenceDevice() { return std::make_unique<ReferenceDevice>(); }

}  // namespace ssmd::kernels
