// What the CUDA device keeps for products while recorded steps use it.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/kernel_table.h"
#include "kernels/device.h"
#include "tests/simt/simt_control.h"

namespace ssmd::kernels {
namespace {

std::vector<float> Counting(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 7) - 3;
  return values;
}

class CudaScratch : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string error;
    device_ = MakeCudaDevice({}, &error);
    ASSERT_NE(device_, nullptr) << error;
  }

  PackedMatrix Pack(int64_t outputs, int64_t inputs) {
    const std::vector<float> weights = Counting(outputs * inputs);
    PackedMatrix matrix = device_->Pack({reinterpret_cast<const std::byte*>(weights.data()),
                                         MatrixSource::Type::kF32, outputs, inputs},
                                        WeightFormat::kBf16);
    matrix.may_round_inputs = true;
    return matrix;
  }
  Buffer Rows(int64_t count) {
    const std::vector<float> values = Counting(count);
    Buffer rows = device_->Allocate(values.size() * sizeof(float));
    device_->Upload(rows.data(), reinterpret_cast<const std::byte*>(values.data()), rows.bytes());
    return rows;
  }
  std::vector<float> Read(const Buffer& buffer) {
    std::vector<float> values(buffer.bytes() / sizeof(float));
    device_->Download(reinterpret_cast<std::byte*>(values.data()), buffer.data(), buffer.bytes());
    return values;
  }

  simt::ScopedControl control_;
  std::unique_ptr<Device> device_;
};

// Another model's products may want more.
TEST_F(CudaScratch, GrowsUnderStepsThatWereRecorded) {
  constexpr int64_t kRows = 12, kInputs = 256, kOutputs = 64, kLarger = 2048;
  const PackedMatrix small = Pack(kOutputs, kInputs);
  const Buffer x = Rows(kRows * kInputs);
  const Buffer out = Rows(kRows * kOutputs);
  const auto program = device_->MakeProgram({kRows, kRows, kOutputs});
  ASSERT_NE(program, nullptr);
  const std::vector<int32_t> tokens(kRows);
  std::vector<Segment> segments(kRows);
  for (int32_t i = 0; i < kRows; ++i) segments[static_cast<size_t>(i)] = {i, 1, -1, -1, 0};
  const StepIndices step = {tokens.data(), kRows, segments.data(), kRows, nullptr, 0};
  const auto multiply = [&](const StepIndices& indices) {
    device_->MatMul({x.as<float>(), kInputs, indices.rows, &small, nullptr, nullptr, 0,
                     out.as<float>(), kOutputs});
  };
  program->Run(step, multiply);
  const std::vector<float> first = Read(out);

  const PackedMatrix large = Pack(kOutputs, kLarger);
  const Buffer large_x = Rows(kRows * kLarger);
  const Buffer large_out = Rows(kRows * kOutputs);
  const size_t free_before = *device_->free_bytes();
  device_->MatMul({large_x.as<float>(), kLarger, kRows, &large, nullptr, nullptr, 0,
                   large_out.as<float>(), kOutputs});
  EXPECT_EQ(free_before - *device_->free_bytes(), cuda::ProductScratch(kRows, large))
      << "what the step was recorded with was given back";
  device_->Zero(out.data(), out.bytes());
  program->Run(step, multiply);
  EXPECT_EQ(Read(out), first);
  EXPECT_EQ(device_->failure(), "");
  EXPECT_EQ(simt::CountsSoFar().replays, 2) << "the step was not repeated";
}

}  // namespace
}  // namespace ssmd::kernels
