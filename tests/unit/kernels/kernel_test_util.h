// Shared by the kernel tests: the devices to test, random tensors, and comparisons.
#ifndef SSMD_TESTS_UNIT_KERNELS_KERNEL_TEST_UTIL_H_
#define SSMD_TESTS_UNIT_KERNELS_KERNEL_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/device.h"

namespace ssmd::kernels {

struct DeviceCase {
  Isa isa;
  int threads;
};

// Every instruction set that runs here, with 1 thread and with 3 (more than some machines have).
inline std::vector<DeviceCase> DeviceCases() {
  std::vector<DeviceCase> cases;
  for (Isa isa : SupportedIsas()) {
    for (int threads : {1, 3}) cases.push_back({isa, threads});
  }
  return cases;
}

inline std::string DeviceCaseName(const testing::TestParamInfo<DeviceCase>& info) {
  return std::string(IsaName(info.param.isa)) + "_" + std::to_string(info.param.threads);
}

// A test of the CPU device, against the reference and against the device's own scalar code.
class KernelTest : public testing::TestWithParam<DeviceCase> {
 protected:
  void SetUp() override {
    cpu_ = MakeCpuDevice({GetParam().isa, GetParam().threads});
    scalar_ = MakeCpuDevice({Isa::kScalar, 1});
    reference_ = MakeReferenceDevice();
  }

  std::unique_ptr<Device> cpu_;
  std::unique_ptr<Device> scalar_;
  std::unique_ptr<Device> reference_;
};

#define INSTANTIATE_KERNEL_TEST(fixture)                                                     \
  INSTANTIATE_TEST_SUITE_P(Isas, fixture, testing::ValuesIn(::ssmd::kernels::DeviceCases()), \
                           ::ssmd::kernels::DeviceCaseName)

inline constexpr WeightFormat kWeightFormats[] = {WeightFormat::kF32, WeightFormat::kBf16,
                                                  WeightFormat::kQ8, WeightFormat::kQ4};

using Tensor = std::vector<float>;

inline Tensor RandomTensor(int64_t elements, uint32_t seed, float low = -1, float high = 1) {
  std::mt19937 engine(seed);
  Tensor tensor(static_cast<size_t>(elements));
  for (float& value : tensor) {
    value = low + (high - low) * static_cast<float>(engine() >> 8) * 0x1p-24f;
  }
  return tensor;
}

inline void Fill(Tensor& tensor, float value) { std::fill(tensor.begin(), tensor.end(), value); }

inline MatrixSource SourceOf(const Tensor& weights, int64_t outputs, int64_t inputs) {
  return {reinterpret_cast<const std::byte*>(weights.data()), MatrixSource::Type::kF32, outputs,
          inputs};
}

// max |a − b| / max |b|, over all elements.
inline double RelativeError(const Tensor& a, const Tensor& b) {
  double difference = 0;
  double scale = 1e-30;
  for (size_t i = 0; i < b.size(); ++i) {
    if (!(std::abs(double{a[i]} - b[i]) <= difference)) difference = std::abs(double{a[i]} - b[i]);
    scale = std::max(scale, std::abs(double{b[i]}));
  }
  return difference / scale;
}

inline uint32_t Bits(float value) { return std::bit_cast<uint32_t>(value); }

// Memory equal, byte for byte.
inline testing::AssertionResult SameBits(const Tensor& a, const Tensor& b) {
  if (a.size() != b.size()) return testing::AssertionFailure() << "sizes differ";
  for (size_t i = 0; i < a.size(); ++i) {
    if (Bits(a[i]) != Bits(b[i])) {
      return testing::AssertionFailure() << "element " << i << ": " << a[i] << " and " << b[i];
    }
  }
  return testing::AssertionSuccess();
}

// States of some slots, apart from each other and with a guard field before them, as a StatePool
// has them.
class Slots {
 public:
  Slots(int slots, int64_t elements, uint32_t seed, float low = -1, float high = 1)
      : elements_(elements), slab_(RandomTensor(slots * (elements + kGuard), seed, low, high)) {}

  StateField field() {
    return {reinterpret_cast<std::byte*>(slab_.data()),
            static_cast<size_t>(elements_ + kGuard) * sizeof(float), kGuard * sizeof(float)};
  }
  float* at(int slot) { return field().at(slot); }
  Tensor copy(int slot) { return Tensor(at(slot), at(slot) + elements_); }
  const Tensor& slab() const { return slab_; }

 private:
  static constexpr int64_t kGuard = 16;
  int64_t elements_;
  Tensor slab_;
};

}  // namespace ssmd::kernels

#endif  // SSMD_TESTS_UNIT_KERNELS_KERNEL_TEST_UTIL_H_
