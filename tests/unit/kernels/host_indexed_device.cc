#include "tests/unit/kernels/host_indexed_device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory_resource>
#include <vector>

namespace ssmd::kernels {
namespace {

// A copy of host memory that the GPU reaches; null of null.
template <typename T>
class Reached {
 public:
  Reached(const T* from, int64_t count) {
    if (from != nullptr) copy_.assign(from, from + count);
    is_null_ = from == nullptr;
  }
  const T* data() const { return is_null_ ? nullptr : copy_.data(); }

 private:
  bool is_null_ = true;
  std::pmr::vector<T> copy_;
};

}  // namespace

void HostIndexedDevice::Wait() {
  std::byte byte;
  gpu_->Download(&byte, byte_.data(), 1);
  ASSERT_EQ(gpu_->failure(), "");
}

template <typename Params>
void HostIndexedDevice::RunOverSegments(void (Device::*op)(const Params&), Params params) {
  const Reached<Segment> segments(params.segments, params.segment_count);
  params.segments = segments.data();
  ((*gpu_).*op)(params);
  Wait();
}

void HostIndexedDevice::Zero(std::byte* data, size_t bytes) {
  gpu_->Zero(data, bytes);
  Wait();
}

void HostIndexedDevice::Copy(std::byte* to, const std::byte* from, size_t bytes) {
  gpu_->Copy(to, from, bytes);
  Wait();
}

void HostIndexedDevice::Embed(const EmbedParams& params) {
  const Reached<int32_t> token_ids(params.token_ids, params.rows);
  EmbedParams reached = params;
  reached.token_ids = token_ids.data();
  gpu_->Embed(reached);
  Wait();
}

void HostIndexedDevice::RmsNorm(const RmsNormParams& params) {
  const Reached<int32_t> row_index(params.row_index, params.rows);
  RmsNormParams reached = params;
  reached.row_index = row_index.data();
  gpu_->RmsNorm(reached);
  Wait();
}

void HostIndexedDevice::MatMul(const MatMulParams& params) {
  gpu_->MatMul(params);
  Wait();
}

void HostIndexedDevice::ConvSilu(const ConvSiluParams& params) {
  RunOverSegments(&Device::ConvSilu, params);
}

void HostIndexedDevice::SelectiveScan(const SelectiveScanParams& params) {
  RunOverSegments(&Device::SelectiveScan, params);
}

void HostIndexedDevice::SsdScan(const SsdScanParams& params) {
  RunOverSegments(&Device::SsdScan, params);
}

void HostIndexedDevice::GatedRmsNorm(const GatedRmsNormParams& params) {
  gpu_->GatedRmsNorm(params);
  Wait();
}

void HostIndexedDevice::Sample(const SampleParams& params) {
  gpu_->Sample(params);
  Wait();
}

void HostIndexedDevice::SampleHead(const SampleHeadParams& params) {
  gpu_->SampleHead(params);
  Wait();
}

void HostIndexedDevice::Logprobs(const LogprobParams& params) {
  gpu_->Logprobs(params);
  Wait();
}

void HostIndexedDevice::GroupNorm(const GroupNormParams& params) {
  const Reached<int32_t> row_index(params.row_index, params.rows);
  GroupNormParams reached = params;
  reached.row_index = row_index.data();
  gpu_->GroupNorm(reached);
  Wait();
}

void HostIndexedDevice::Pointwise(const PointwiseParams& params) {
  gpu_->Pointwise(params);
  Wait();
}

void HostIndexedDevice::TokenShift(const TokenShiftParams& params) {
  RunOverSegments(&Device::TokenShift, params);
}

void HostIndexedDevice::Rotate(const RotateParams& params) {
  RunOverSegments(&Device::Rotate, params);
}

void HostIndexedDevice::Wkv4(const Wkv4Params& params) { RunOverSegments(&Device::Wkv4, params); }

void HostIndexedDevice::Wkv6(const Wkv6Params& params) { RunOverSegments(&Device::Wkv6, params); }

void HostIndexedDevice::Wkv7(const Wkv7Params& params) { RunOverSegments(&Device::Wkv7, params); }

void HostIndexedDevice::MemoryScan(const MemoryScanParams& params) {
  int64_t rows = 0;
  for (int64_t s = 0; s < params.segment_count; ++s) {
    const Segment& segment = params.segments[s];
    rows = std::max<int64_t>(rows, segment.first_row + segment.length);
  }
  const Reached<int32_t> token_ids(params.token_ids, rows);
  MemoryScanParams reached = params;
  reached.token_ids = token_ids.data();
  RunOverSegments(&Device::MemoryScan, reached);
}

}  // namespace ssmd::kernels
