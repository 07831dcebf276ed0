// Packing and Embed: every element comes back, rounded once, from every source type and shape.
#include <gtest/gtest.h>

#include <cstring>

#include "kernels/number_format.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {
namespace {

using PackTest = KernelTest;

Tensor EmbedAll(Device& device, const PackedMatrix& table) {
  std::vector<int32_t> ids;
  for (int64_t i = table.outputs - 1; i >= 0; --i) ids.push_back(static_cast<int32_t>(i));
  Tensor out(static_cast<size_t>(table.outputs * table.inputs));
  device.Embed({&table, ids.data(), table.outputs, out.data()});
  return out;
}

TEST_P(PackTest, EmbedReturnsEveryElement) {
  for (WeightFormat format : kWeightFormats) {
    for (int64_t outputs : {1, 15, 16, 17, 31, 33, 63, 64, 65, 130, 1000}) {
      for (int64_t inputs : {1, 3, 65, 100}) {
        const Tensor weights = RandomTensor(outputs * inputs, 1);
        const PackedMatrix packed = device_->Pack(SourceOf(weights, outputs, inputs), format);
        ASSERT_TRUE(packed.data);
        const PackedMatrix plain = reference_->Pack(SourceOf(weights, outputs, inputs), format);
        EXPECT_TRUE(SameBits(EmbedAll(*device_, packed), EmbedAll(*reference_, plain)))
            << outputs << "x" << inputs;
      }
    }
  }
}

TEST_P(PackTest, BytesAreThoseOfTheFormat) {
  const Tensor weights = RandomTensor(64 * 128, 1);
  const size_t elements = weights.size();
  const auto bytes = [&](WeightFormat format) {
    return device_->Pack(SourceOf(weights, 64, 128), format).bytes();
  };
  EXPECT_EQ(bytes(WeightFormat::kF32), elements * 4);
  EXPECT_EQ(bytes(WeightFormat::kBf16), elements * 2);
  EXPECT_EQ(bytes(WeightFormat::kQ8), elements + elements / 32 * 2);
  EXPECT_EQ(bytes(WeightFormat::kQ4), elements / 2 + elements / 32 * 4);
}

TEST_P(PackTest, SourcesNeedNotBeAligned) {
  const std::vector<uint16_t> halves = {0x3C00, 0xC000, 0x0001, 0x7BFF, 0x03FF, 0x8000};
  const Tensor f16 = {1, -2, 0x1p-24f, 65504, 0x1.ff8p-15f, -0.0f};
  std::vector<std::byte> bytes(1 + halves.size() * 2);
  std::memcpy(bytes.data() + 1, halves.data(), halves.size() * 2);
  for (const bool is_f16 : {true, false}) {
    const MatrixSource source{bytes.data() + 1,
                              is_f16 ? MatrixSource::Type::kF16 : MatrixSource::Type::kBf16, 6, 1};
    const PackedMatrix packed = device_->Pack(source, WeightFormat::kF32);
    const Tensor got = EmbedAll(*device_, packed);  // last row first
    for (size_t i = 0; i < halves.size(); ++i) {
      const float expected = is_f16 ? f16[i] : FloatFromBits(uint32_t{halves[i]} << 16);
      EXPECT_EQ(BitsOfFloat(got[halves.size() - 1 - i]), BitsOfFloat(expected)) << i;
    }
  }
}

INSTANTIATE_KERNEL_TEST(PackTest);

TEST(NumberFormat, Bf16RoundsToNearestEven) {
  const struct {
    uint32_t f32;
    uint16_t bf16;
  } kCases[] = {
      {0x3F800000, 0x3F80}, {0x3F808000, 0x3F80}, {0x3F808001, 0x3F81}, {0x3F818000, 0x3F82},
      {0x3F817FFF, 0x3F81}, {0x7F7FFFFF, 0x7F80}, {0x7F800000, 0x7F80}, {0x00000000, 0x0000},
      {0x80000000, 0x8000}, {0x00008000, 0x0000}, {0x00018000, 0x0002}, {0x7F800001, 0x7FC0},
      {0xFFFFFFFF, 0xFFFF},
  };
  for (const auto& c : kCases) EXPECT_EQ(RoundToBf16(FloatFromBits(c.f32)), c.bf16) << c.f32;
}

TEST(NumberFormat, F16RoundsToNearestEven) {
  for (uint32_t half = 0; half < 0x7C00; ++half) {
    const auto even = static_cast<uint16_t>(half + (half & 1));
    const float value = WidenF16(static_cast<uint16_t>(half));
    // One step beyond the largest f16 stands where infinity is.
    const float next = half == 0x7BFF ? 65536 : WidenF16(static_cast<uint16_t>(half + 1));
    const float middle = (value + next) / 2;
    EXPECT_EQ(RoundToF16(value), half);
    EXPECT_EQ(RoundToF16(-value), half | 0x8000);
    EXPECT_EQ(RoundToF16(middle), even) << half;
    EXPECT_EQ(RoundToF16(std::nextafter(middle, 0.0f)), half);
    EXPECT_EQ(RoundToF16(std::nextafter(middle, 1e9f)), half + 1);
  }
  EXPECT_EQ(RoundToF16(INFINITY), 0x7C00);
  EXPECT_EQ(RoundToF16(-1e30f), 0xFC00);
  EXPECT_TRUE(std::isnan(WidenF16(RoundToF16(NAN))));
}

TEST(NumberFormat, F16WidensExactly) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    const float value = WidenF16(static_cast<uint16_t>(half));
    const int exponent = static_cast<int>(half >> 10 & 0x1F);
    const double mantissa = half & 0x3FF;
    if (exponent == 0x1F) {
      EXPECT_EQ(std::isnan(value), mantissa != 0) << half;
      EXPECT_EQ(std::isinf(value), mantissa == 0) << half;
    } else {
      const double magnitude =
          exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
      EXPECT_EQ(double{std::abs(value)}, magnitude) << half;
    }
    EXPECT_EQ(std::signbit(value), half >= 0x8000) << half;
  }
}

}  // namespace
}  // namespace ssmd::kernels
