// Layers over random weights, inputs and states, run on the CUDA device with their ops fused or one
// by one.
#ifndef SSMD_TESTS_UNIT_CUDA_LAYER_TEST_UTIL_H_
#define SSMD_TESTS_UNIT_CUDA_LAYER_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "tests/simt/simt_control.h"
#include "tests/unit/cuda/product_test_util.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels::cuda {

inline constexpr int kLayerSlots = 50;

// Rows of the steps whose ops are fused. A race wants each way through a kernel once: 9 and 40 rows
// go those that 3 and 8 go, or no others; nor do wide shapes, but for more segments of inputs.
inline std::vector<int32_t> FusedRows(int64_t d_model) {
#if defined(__SANITIZE_THREAD__)
  if (d_model > 500) return {3};
  return {1, 3, 40};
#else
  if (d_model > 500) return {1, 3, 8, 9};  // IsFewLaunches has 40
  return {1, 3, 8, 9, 40};
#endif
}

// What a layer leaves behind.
struct LayerResult {
  Tensor x;  // (rows, d_model)
  Tensor ring, state;
  int64_t launches = 0;

  // Of rows that are no padding.
  void ExpectSame(const LayerResult& other, const std::vector<Segment>& segments,
                  int64_t d_model) const {
    EXPECT_TRUE(SameBits(ring, other.ring));
    EXPECT_TRUE(SameBits(state, other.state));
    for (const Segment& s : segments) {
      if (s.dst_slot < 0) continue;
      const auto rows = [&](const Tensor& from) {
        const auto begin = from.begin() + s.first_row * d_model;
        return Tensor(begin, begin + s.length * d_model);
      };
      EXPECT_TRUE(SameBits(rows(x), rows(other.x))) << "from row " << s.first_row;
    }
  }
};

class LayerTest : public testing::Test {
 protected:
  LayerTest() {
    std::string error;
    device_ = MakeCudaDevice({}, &error);
    EXPECT_NE(device_, nullptr) << error;
    word_ = device_->Allocate(16);
  }

  Device& device() { return *device_; }

  static PackedMatrix Pack(int64_t outputs, int64_t inputs, WeightFormat format, bool may_round,
                           uint32_t seed, float scale) {
    const Tensor weights = RandomTensor(outputs * inputs, seed, -scale, scale);
    PackedMatrix matrix = PackForGpu(SourceOf(weights, outputs, inputs), format);
    matrix.may_round_inputs = may_round;
    return matrix;
  }

  // The launches of `layer`, which is done when it returns.
  template <typename Function>
  int64_t Launches(const Function& layer) {
    Wait();
    const int64_t before = simt::CountsSoFar().launches;
    layer();
    Wait();
    EXPECT_EQ(device_->failure(), "");
    return simt::CountsSoFar().launches - before;
  }

 private:
  void Wait() {
    std::byte to[16];
    device_->Download(to, word_.data(), sizeof(to));
  }

  const simt::ScopedControl control_;
  std::unique_ptr<Device> device_;
  Buffer word_;
};

// Single tokens: all from slots of their own, some to others; row 4, if there is one, is padding.
inline std::vector<Segment> SingleTokens(int32_t rows) {
  std::vector<Segment> segments;
  for (int32_t i = 0; i < rows; ++i) {
    const int32_t to = i == 1 ? kLayerSlots - 1 : i;
    segments.push_back({rows - 1 - i, 1, i, to, 5 + i});
    if (i == 4) segments.back().src_slot = segments.back().dst_slot = -1;
  }
  return segments;
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_TESTS_UNIT_CUDA_LAYER_TEST_UTIL_H_
