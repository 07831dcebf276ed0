// Shared by the kernel tests: their fixture, random tensors, and comparisons.
#ifndef SSMD_TESTS_UNIT_KERNELS_KERNEL_TEST_UTIL_H_
#define SSMD_TESTS_UNIT_KERNELS_KERNEL_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <random>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "kernels/number_format.h"
#include "tests/unit/kernels/device_cases.h"

namespace ssmd::kernels {

inline std::string DeviceCaseName(const testing::TestParamInfo<DeviceCase>& info) {
  return info.param.name;
}

// Numbers where the device under test reaches them: a GPU's program has its own default resource.
using Tensor = std::pmr::vector<float>;
using DoubleTensor = std::pmr::vector<double>;

inline constexpr WeightFormat kWeightFormats[] = {WeightFormat::kF32, WeightFormat::kBf16,
                                                  WeightFormat::kQ8, WeightFormat::kQ4};

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

// max |a − b| / max |b|, over all elements; NaN where there is one.
inline double RelativeError(const Tensor& a, const Tensor& b) {
  double difference = 0;
  double scale = 1e-30;
  for (size_t i = 0; i < b.size(); ++i) {
    const double error = std::abs(double{a[i]} - b[i]);
    if (std::isnan(error)) return error;
    difference = std::max(difference, error);
    scale = std::max(scale, std::abs(double{b[i]}));
  }
  return difference / scale;
}

// Of floats near that value.
inline double UlpOf(double value) {
  return std::ldexp(1.0, std::max(-126, std::ilogb(value)) - 23);
}

inline uint32_t Bits(float value) { return std::bit_cast<uint32_t>(value); }
inline uint64_t Bits(double value) { return std::bit_cast<uint64_t>(value); }

// Memory equal, byte for byte.
template <typename T>
testing::AssertionResult SameBits(const std::pmr::vector<T>& a, const std::pmr::vector<T>& b) {
  if (a.size() != b.size()) return testing::AssertionFailure() << "sizes differ";
  for (size_t i = 0; i < a.size(); ++i) {
    if (Bits(a[i]) != Bits(b[i])) {
      return testing::AssertionFailure() << "element " << i << ": " << a[i] << " and " << b[i];
    }
  }
  return testing::AssertionSuccess();
}

// A test of a device, against the reference and against the CPU's scalar code.
class KernelTest : public testing::TestWithParam<DeviceCase> {
 protected:
  void SetUp() override {
    std::string error;
    device_ = GetParam().make(GetParam().threads, &error);
    if (device_ == nullptr) GTEST_SKIP() << error;
    scalar_ = MakeCpuDevice({Isa::kScalar, 1});
    reference_ = MakeReferenceDevice();
  }

  // Another device of the kind, with that many threads if it has threads.
  std::unique_ptr<Device> Another(int threads) {
    std::string error;
    std::unique_ptr<Device> device = GetParam().make(threads, &error);
    EXPECT_NE(device, nullptr) << error;
    return device;
  }

  // The bits that the scalar code gives, or what is near enough.
  testing::AssertionResult LikeScalar(const Tensor& a, const Tensor& scalar) const {
    if (GetParam().bitwise) return SameBits(a, scalar);
    const double error = RelativeError(a, scalar);
    if (error <= GetParam().tolerance) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "off by " << error;
  }
  // The bound of an error that is this one where bits are those of the scalar code.
  double Bound(double bitwise) const { return std::max(bitwise, GetParam().tolerance); }

  // How much of something a test asks for.
  template <typename T>
  T Few(T many, T few) const {
    return GetParam().slow ? few : many;
  }
  // The cases of a test: every third of them and the last where the device is slow.
  template <typename T>
  std::vector<T> Some(const std::vector<T>& all) const {
    if (!GetParam().slow) return all;
    std::vector<T> some;
    for (size_t i = 0; i < all.size(); i += 3) some.push_back(all[i]);
    if (all.size() % 3 != 1) some.push_back(all.back());
    return some;
  }

  std::unique_ptr<Device> device_;
  std::unique_ptr<Device> scalar_;
  std::unique_ptr<Device> reference_;
};

#define INSTANTIATE_KERNEL_TEST(fixture)                                                        \
  INSTANTIATE_TEST_SUITE_P(Devices, fixture, testing::ValuesIn(::ssmd::kernels::DeviceCases()), \
                           ::ssmd::kernels::DeviceCaseName)

// States of some slots, apart from each other and with a guard field before them, as a StatePool
// has them.
class Slots {
 public:
  Slots(int slots, int64_t elements, uint32_t seed, float low = -1, float high = 1)
      : slots_(slots),
        elements_(elements),
        slab_(RandomTensor(slots * SlotFloats(), seed, low, high)) {}

  // Keeps them in another format from here on, rounded to nearest.
  void KeepIn(StateFormat format) {
    std::vector<Tensor> states;
    for (int slot = 0; slot < slots_; ++slot) states.push_back(copy(slot));
    format_ = format;
    slab_ = RandomTensor(slots_ * SlotFloats(), 99);
    for (int slot = 0; slot < slots_; ++slot) {
      for (int64_t i = 0; i < elements_; ++i) Set(slot, i, states[static_cast<size_t>(slot)][i]);
    }
  }

  StateField field(uint32_t layer = 0) {
    return {reinterpret_cast<std::byte*>(slab_.data()),
            static_cast<size_t>(SlotFloats()) * sizeof(float), kGuard * sizeof(float), format_,
            layer};
  }
  float* at(int slot) { return field().floats(slot); }
  Tensor copy(int slot) {
    Tensor state(static_cast<size_t>(elements_));
    for (int64_t i = 0; i < elements_; ++i) state[i] = Get(slot, i);
    return state;
  }
  // As they lie in memory, which a copy in f32 does not show of kF64.
  std::vector<std::byte> bytes(int slot) {
    const std::byte* from = field().at(slot);
    return {from, from + static_cast<size_t>(elements_) * StateFormatBytes(format_)};
  }
  const Tensor& slab() const { return slab_; }

 private:
  static constexpr int64_t kGuard = 16;

  int64_t SlotFloats() const {
    return kGuard + (elements_ * static_cast<int64_t>(StateFormatBytes(format_)) + 3) / 4;
  }
  uint16_t* narrow(int slot) { return reinterpret_cast<uint16_t*>(field().at(slot)); }
  float Get(int slot, int64_t i) {
    switch (format_) {
      case StateFormat::kF32:
        return at(slot)[i];
      case StateFormat::kBf16:
        return WidenBf16(narrow(slot)[i]);
      case StateFormat::kF16:
        return WidenF16(narrow(slot)[i]);
      case StateFormat::kF64:
        return static_cast<float>(field().doubles(slot)[i]);
    }
    return NAN;
  }
  void Set(int slot, int64_t i, float value) {
    switch (format_) {
      case StateFormat::kF32:
        at(slot)[i] = value;
        return;
      case StateFormat::kBf16:
        narrow(slot)[i] = RoundToBf16(value);
        return;
      case StateFormat::kF16:
        narrow(slot)[i] = RoundToF16(value);
        return;
      case StateFormat::kF64:
        field().doubles(slot)[i] = value;
        return;
    }
  }

  int slots_;
  int64_t elements_;
  StateFormat format_ = StateFormat::kF32;
  Tensor slab_;
};

}  // namespace ssmd::kernels

#endif  // SSMD_TESTS_UNIT_KERNELS_KERNEL_TEST_UTIL_H_
