// Products that may round their activations to bf16: those levels that do it give the oracle's
// bits, all others the bits that they always give; and what the oracle itself is.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/kernels/kernel_test_util.h"
#include "tests/unit/kernels/rounded_oracle.h"

namespace ssmd::kernels {
namespace {

bool IsHere(Isa isa) {
  const std::vector<Isa> isas = SupportedIsas();
  return std::find(isas.begin(), isas.end(), isa) != isas.end();
}

constexpr int64_t kPadding = 3;  // floats between rows

struct RoundedShape {
  int64_t rows, outputs, inputs;
};

// Rows in one tile and many, in one block of rows and several; panels whole and cut, alone, in
// fours and beside those; odd numbers of inputs; blocks and runs of them cut before, at and after
// an end.
constexpr RoundedShape kRoundedShapes[] = {
    {1, 1, 1},     {1, 16, 2},    {2, 17, 3},    {3, 40, 31},   {5, 64, 32},    {6, 80, 33},
    {7, 33, 127},  {12, 70, 128}, {13, 50, 129}, {25, 32, 511}, {48, 15, 512},  {1, 129, 513},
    {96, 33, 130}, {97, 49, 65},  {200, 20, 40}, {4, 66, 1025}, {49, 100, 700},
};

Tensor Inputs(const RoundedShape& shape, float scale = 1) {
  return RandomTensor(shape.rows * (shape.inputs + kPadding), 1, -scale, scale);
}
Tensor Weights(const RoundedShape& shape, float scale = 1) {
  return RandomTensor(shape.outputs * shape.inputs, 2, -scale, scale);
}

// The rows' products with the whole matrix, without gaps.
Tensor Multiply(Device& device, const PackedMatrix& w, const Tensor& x, int64_t rows) {
  Tensor out(static_cast<size_t>(rows * w.outputs));
  device.MatMul(
      {x.data(), w.inputs + kPadding, rows, &w, nullptr, nullptr, 0, out.data(), w.outputs});
  return out;
}

PackedMatrix PackBf16(Device& device, const Tensor& weights, const RoundedShape& shape, bool may) {
  PackedMatrix packed =
      device.Pack(SourceOf(weights, shape.outputs, shape.inputs), WeightFormat::kBf16);
  packed.may_round_inputs = may;
  return packed;
}

Tensor OracleOf(const Tensor& weights, const Tensor& x, const RoundedShape& shape) {
  Tensor out;
  for (int64_t r = 0; r < shape.rows; ++r) {
    for (int64_t o = 0; o < shape.outputs; ++o) {
      out.push_back(RoundedProductOf(x.data() + r * (shape.inputs + kPadding),
                                     weights.data() + o * shape.inputs, shape.inputs));
    }
  }
  return out;
}

using RoundedLevels = KernelTest;

TEST_P(RoundedLevels, OnlyThoseThatSaySoRoundTheirInputs) {
  const bool rounds = device_->profile(WeightFormat::kBf16) != device_->profile(WeightFormat::kF32);
  EXPECT_EQ(rounds, GetParam().isa == Isa::kAvx512Bf16);
  const RoundedShape shape = {5, 40, 600};
  const Tensor x = Inputs(shape);
  const Tensor weights = Weights(shape);
  const Tensor may = Multiply(*device_, PackBf16(*device_, weights, shape, true), x, shape.rows);
  const Tensor exact = Multiply(*device_, PackBf16(*device_, weights, shape, false), x, shape.rows);
  const Tensor scalar = Multiply(*scalar_, PackBf16(*scalar_, weights, shape, true), x, shape.rows);
  EXPECT_TRUE(SameBits(exact, scalar));
  EXPECT_EQ(static_cast<bool>(SameBits(may, exact)), !rounds);
  EXPECT_LT(RelativeError(may, exact), 4e-3);
}

INSTANTIATE_KERNEL_TEST(RoundedLevels);

class RoundedProducts : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (!IsHere(Isa::kAvx512Bf16)) GTEST_SKIP() << "this CPU lacks avx512bf16";
    device_ = MakeCpuDevice({Isa::kAvx512Bf16, GetParam()});
  }
  std::unique_ptr<Device> device_;
};

TEST_P(RoundedProducts, GiveTheBitsOfTheOracle) {
  for (const RoundedShape& shape : kRoundedShapes) {
    SCOPED_TRACE(testing::Message()
                 << shape.rows << " rows, " << shape.outputs << "x" << shape.inputs);
    const Tensor x = Inputs(shape);
    const Tensor weights = Weights(shape);
    const PackedMatrix packed = PackBf16(*device_, weights, shape, true);
    EXPECT_TRUE(SameBits(Multiply(*device_, packed, x, shape.rows), OracleOf(weights, x, shape)));
  }
}

// Of inputs, weights and sums near the smallest normal number.
TEST_P(RoundedProducts, TakeDenormalsForZeroAsTheOracle) {
  const RoundedShape shape = {9, 40, 700};
  for (const float scale : {0x1p-62f, 0x1p-63f, 0x1p-64f}) {
    const Tensor x = Inputs(shape, scale);
    const Tensor weights = Weights(shape, scale);
    const PackedMatrix packed = PackBf16(*device_, weights, shape, true);
    const Tensor out = Multiply(*device_, packed, x, shape.rows);
    EXPECT_TRUE(SameBits(out, OracleOf(weights, x, shape)));
  }
  const Tensor x = Inputs(shape, 0x1.8p-126f);
  const Tensor weights = Weights(shape);
  const PackedMatrix packed = PackBf16(*device_, weights, shape, true);
  EXPECT_TRUE(SameBits(Multiply(*device_, packed, x, shape.rows), OracleOf(weights, x, shape)));
}

TEST_P(RoundedProducts, ARowDoesNotDependOnTheRowsAroundIt) {
  const RoundedShape shape = {110, 130, 300};
  const Tensor x = Inputs(shape);
  const PackedMatrix packed = PackBf16(*device_, Weights(shape), shape, true);
  const Tensor all = Multiply(*device_, packed, x, shape.rows);
  for (int64_t rows = 1; rows <= shape.rows; ++rows) {
    const int64_t skipped = shape.rows - rows;
    const Tensor tail(x.begin() + skipped * (shape.inputs + kPadding), x.end());
    const Tensor expected(all.begin() + skipped * shape.outputs, all.end());
    ASSERT_TRUE(SameBits(Multiply(*device_, packed, tail, rows), expected)) << rows;
  }
}

TEST_P(RoundedProducts, AddBiasAndResidualLast) {
  const RoundedShape shape = {100, 37, 65};
  const Tensor x = Inputs(shape);
  const Tensor weights = Weights(shape);
  const Tensor bias = RandomTensor(shape.outputs, 3);
  const Tensor residual = RandomTensor(shape.rows * shape.outputs, 4);
  const PackedMatrix packed = PackBf16(*device_, weights, shape, true);
  Tensor expected = OracleOf(weights, x, shape);
  for (size_t i = 0; i < expected.size(); ++i) {
    expected[i] = (expected[i] + bias[i % static_cast<size_t>(shape.outputs)]) + residual[i];
  }
  Tensor out = residual;
  device_->MatMul({x.data(), shape.inputs + kPadding, shape.rows, &packed, bias.data(), out.data(),
                   shape.outputs, out.data(), shape.outputs});
  EXPECT_TRUE(SameBits(out, expected));
}

TEST_P(RoundedProducts, WhatIsNotFiniteStaysInItsRow) {
  const RoundedShape shape = {15, 33, 45};
  const PackedMatrix packed = PackBf16(*device_, Weights(shape), shape, true);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    for (const int64_t column : {0, 11, 31, 32, 44}) {
      Tensor x = Inputs(shape);
      x[static_cast<size_t>(4 * (shape.inputs + kPadding) + column)] = bad;
      const Tensor out = Multiply(*device_, packed, x, shape.rows);
      for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(std::isfinite(out[i]), i / 33 != 4) << i;
    }
  }
}

TEST_P(RoundedProducts, ARestoredMatrixGivesTheSame) {
  const RoundedShape shape = {3, 20, 90};
  const auto other = MakeCpuDevice({Isa::kAvx512Bf16, 1});  // which has reserved nothing yet
  const Tensor x = Inputs(shape);
  const PackedMatrix packed = PackBf16(*device_, Weights(shape), shape, true);
  PackedMatrix restored = other->Restore(
      {packed.outputs, packed.inputs, packed.format, packed.data.data(), packed.bytes()});
  restored.may_round_inputs = true;
  EXPECT_TRUE(SameBits(Multiply(*other, restored, x, shape.rows),
                       Multiply(*device_, packed, x, shape.rows)));
}

INSTANTIATE_TEST_SUITE_P(Avx512Bf16, RoundedProducts, testing::Values(1, 3),
                         [](const auto& test) { return "threads" + std::to_string(test.param); });

TEST(RoundedOracle, InputsGoToTheNearestEven) {
  const struct {
    uint32_t f32;
    uint16_t bf16;
  } kCases[] = {
      {0x3F800000, 0x3F80}, {0x3F807FFF, 0x3F80}, {0x3F808000, 0x3F80}, {0x3F808001, 0x3F81},
      {0x3F818000, 0x3F82}, {0xBF818000, 0xBF82}, {0x7F7F7FFF, 0x7F7F}, {0x7F7F8000, 0x7F80},
      {0x7F800000, 0x7F80}, {0xFF800000, 0xFF80}, {0x00000000, 0x0000}, {0x80000000, 0x8000},
      {0x00800000, 0x0080}, {0x007FFFFF, 0x0000}, {0x807FFFFF, 0x8000}, {0x00000001, 0x0000},
      {0x7F800001, 0x7FC0}, {0xFFC01234, 0xFFC0},
  };
  for (const auto& c : kCases) EXPECT_EQ(RoundedInput(FloatFromBits(c.f32)), c.bf16) << c.f32;
}

float AddPairOf(float sum, float a0, float a1, float b0, float b1) {
  return AddPair(sum, {RoundToBf16(a0), RoundToBf16(a1)}, {RoundToBf16(b0), RoundToBf16(b1)});
}

TEST(RoundedOracle, ThePairsSecondProductIsAddedFirst) {
  // 1 + 2^24 loses the 1 to even; what comes first decides what is left.
  EXPECT_EQ(AddPairOf(1, -0x1p12f, 0x1p12f, 0x1p12f, 0x1p12f), 0.0f);
  EXPECT_EQ(AddPairOf(0, 1, 0x1p12f, 1, 0x1p12f), 0x1p24f);
  EXPECT_EQ(AddPairOf(-0x1p24f, 1, 0x1p12f, 1, 0x1p12f), 1.0f);
  EXPECT_EQ(AddPairOf(-0x1p24f, 0x1p12f, 0.5f, 0x1p12f, 1), 0.0f);
}

// Products of bf16 are exact in f32 but for their range.
TEST(RoundedOracle, ProductsAreFusedIntoTheSum) {
  EXPECT_EQ(AddPairOf(FLT_MIN, 0, 0x1p-64f, 0, 0x1p-64f), 0x1.4p-126f);
  EXPECT_EQ(AddPairOf(-FLT_MAX, 0, 0x1p127f, 0, 2), 0x1p104f);
}

TEST(RoundedOracle, DenormalsAreZeroInAndOut) {
  EXPECT_EQ(AddPairOf(0, 0, 0x1p-64f, 0, 0x1p-63f), 0.0f);  // a product of 2^-127
  EXPECT_EQ(AddPairOf(0, 0, 0x1p-63f, 0, 0x1p-63f), FLT_MIN);
  EXPECT_EQ(AddPairOf(0x1p-127f, 0, 0, 0, 0), 0.0f);         // a sum
  EXPECT_EQ(AddPairOf(1, 0, 0x1p-127f, 0, 0x1p127f), 1.0f);  // an input
  EXPECT_EQ(AddPairOf(FLT_MIN, 0, -0x1.8p-63f, 0, 0x1p-64f), 0.0f);
}

TEST(RoundedOracle, RunsAreSummedApartAndAddedInAscendingOrder) {
  const Tensor weights(1025, 1.0f);
  Tensor x(1025, 0.0f);
  x[0] = 0x1p24f;
  x[600] = x[601] = 1;  // either would be lost to even, were it added alone
  x[1024] = -0x1p24f;
  EXPECT_EQ(RoundedProductOf(x.data(), weights.data(), 1025), 2.0f);
  x[601] = 0;
  EXPECT_EQ(RoundedProductOf(x.data(), weights.data(), 1025), 0.0f);
}

}  // namespace
}  // namespace ssmd::kernels
