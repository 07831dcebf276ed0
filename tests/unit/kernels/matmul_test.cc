// Matrix products: close to the reference, and the same bits on every instruction set, for any
// number of rows and threads.
#include <gtest/gtest.h>

#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {
namespace {

struct ProductShape {
  int64_t rows, outputs, inputs;
};

// Odd sizes; panels whole and cut; blocks and runs of the reduction cut before, at and after 512
// and 1024.
const std::vector<ProductShape> kShapes = {
    {1, 1, 1},     {1, 3, 15},     {2, 15, 3},     {3, 16, 17},   {4, 17, 63},
    {5, 31, 64},   {6, 32, 65},    {7, 33, 511},   {8, 47, 512},  {9, 48, 513},
    {1, 63, 1023}, {12, 64, 1024}, {13, 65, 1025}, {1, 40, 2100}, {16, 80, 96},
    {17, 129, 48}, {64, 200, 70},  {70, 96, 600},  {150, 17, 33},
};

bool IsQuantised(WeightFormat format) {
  return format == WeightFormat::kQ8 || format == WeightFormat::kQ4;
}

// What MatMul takes beside the shape, with strides wider than the rows.
class Product {
 public:
  Product(const ProductShape& shape, bool with_bias, bool with_add)
      : shape_(shape),
        x_(RandomTensor(shape.rows * (shape.inputs + 3), 1)),
        weights_(RandomTensor(shape.outputs * shape.inputs, 2)),
        bias_(RandomTensor(shape.outputs, 3)),
        add_(RandomTensor(shape.rows * (shape.outputs + 2), 4)),
        with_bias_(with_bias),
        with_add_(with_add) {}

  // The output, its padding (which stays at 7) included.
  Tensor Run(Device& device, WeightFormat format) const {
    return RunRows(device, device.Pack(SourceOf(weights_, shape_.outputs, shape_.inputs), format),
                   0, shape_.rows);
  }
  Tensor RunRows(Device& device, const PackedMatrix& packed, int64_t begin, int64_t end) const {
    const int64_t out_stride = shape_.outputs + 1;
    Tensor out(static_cast<size_t>((end - begin) * out_stride), 7.0f);
    MatMulParams params;
    params.x = x_.data() + begin * (shape_.inputs + 3);
    params.x_stride = shape_.inputs + 3;
    params.rows = end - begin;
    params.w = &packed;
    if (with_bias_) params.bias = bias_.data();
    if (with_add_) params.add = add_.data() + begin * (shape_.outputs + 2);
    params.add_stride = shape_.outputs + 2;
    params.out = out.data();
    params.out_stride = out_stride;
    device.MatMul(params);
    return out;
  }
  PackedMatrix PackFor(Device& device, WeightFormat format) const {
    return device.Pack(SourceOf(weights_, shape_.outputs, shape_.inputs), format);
  }

 private:
  ProductShape shape_;
  Tensor x_, weights_, bias_, add_;
  bool with_bias_, with_add_;
};

class MatMulTest : public KernelTest {
 protected:
  // Whether inputs are rounded to int8 where weights are quantised in groups. For tensor cores they
  // are not (ops.h).
  bool RoundsToInt8() const { return GetParam().bitwise; }
};

TEST_P(MatMulTest, AgreesWithTheReferenceAndBitwiseWithScalar) {
  int variant = 0;
  for (const ProductShape& shape : Some(kShapes)) {
    SCOPED_TRACE(testing::Message()
                 << shape.rows << " rows, " << shape.outputs << "x" << shape.inputs);
    const Product product(shape, variant % 2 == 0, variant % 3 == 0);
    ++variant;
    for (WeightFormat format : kWeightFormats) {
      const Tensor out = product.Run(*device_, format);
      const Tensor expected = product.Run(*reference_, format);
      if (IsQuantised(format) && !RoundsToInt8()) {
        EXPECT_LT(RelativeError(out, expected), 5e-3) << WeightFormatName(format);
        continue;
      }
      EXPECT_LT(RelativeError(out, expected), Bound(2e-6)) << WeightFormatName(format);
      EXPECT_TRUE(LikeScalar(out, product.Run(*scalar_, format))) << WeightFormatName(format);
    }
  }
}

TEST_P(MatMulTest, ARowDoesNotDependOnTheRowsAroundIt) {
  const ProductShape shape{Few<int64_t>(70, 19), 145, Few<int64_t>(520, 70)};
  const Product product(shape, true, true);
  for (WeightFormat format : kWeightFormats) {
    const PackedMatrix packed = product.PackFor(*device_, format);
    const Tensor all = product.RunRows(*device_, packed, 0, shape.rows);
    const int64_t width = shape.outputs + 1;
    for (int64_t rows = 1; rows <= shape.rows; ++rows) {
      const int64_t begin = shape.rows - rows;
      const Tensor expected(all.begin() + begin * width, all.end());
      ASSERT_TRUE(SameBits(product.RunRows(*device_, packed, begin, shape.rows), expected)) << rows;
    }
  }
}

TEST_P(MatMulTest, ThreadsDoNotShow) {
  // Shares by panels, and (few panels, many rows) by rows.
  for (const ProductShape& shape : {ProductShape{3, 400, 700}, ProductShape{200, 33, 130}}) {
    const Product product(shape, true, false);
    for (WeightFormat format : {WeightFormat::kBf16, WeightFormat::kQ8, WeightFormat::kQ4}) {
      const Tensor expected = product.Run(*device_, format);
      for (int threads : Some<int>({1, 2, 3, 4})) {
        const auto device = Another(threads);
        EXPECT_TRUE(SameBits(product.Run(*device, format), expected)) << threads;
      }
    }
  }
}

TEST_P(MatMulTest, AddsIntoItsOwnOutput) {
  const ProductShape shape{5, 70, 600};
  const Tensor x = RandomTensor(shape.rows * shape.inputs, 1);
  const Tensor weights = RandomTensor(shape.outputs * shape.inputs, 2);
  const PackedMatrix packed =
      device_->Pack(SourceOf(weights, shape.outputs, shape.inputs), WeightFormat::kF32);
  const Tensor residual = RandomTensor(shape.rows * shape.outputs, 3);
  Tensor apart(residual.size());
  Tensor in_place = residual;
  MatMulParams params;
  params.x = x.data();
  params.x_stride = shape.inputs;
  params.rows = shape.rows;
  params.w = &packed;
  params.add = residual.data();
  params.add_stride = params.out_stride = shape.outputs;
  params.out = apart.data();
  device_->MatMul(params);
  params.add = params.out = in_place.data();
  device_->MatMul(params);
  EXPECT_TRUE(SameBits(in_place, apart));
}

TEST_P(MatMulTest, FollowsTheDocumentedOrder) {
  constexpr int64_t kInputs = 1300;
  const Tensor x = RandomTensor(kInputs, 5);
  const Tensor weights = RandomTensor(kInputs, 6);
  float sum = 0;
  for (int64_t begin = 0; begin < kInputs; begin += kReductionRun) {
    float run = 0;
    for (int64_t k = begin; k < std::min(kInputs, begin + kReductionRun); ++k) {
      run = std::fma(x[static_cast<size_t>(k)], weights[static_cast<size_t>(k)], run);
    }
    sum += run;
  }
  const PackedMatrix packed = device_->Pack(SourceOf(weights, 1, kInputs), WeightFormat::kF32);
  Tensor out(1);
  device_->MatMul({x.data(), kInputs, 1, &packed, nullptr, nullptr, 0, out.data(), 1});
  EXPECT_TRUE(LikeScalar(out, {sum}));
}

TEST_P(MatMulTest, WhatIsNotFiniteStaysInItsRow) {
  for (WeightFormat format : kWeightFormats) {
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      for (const size_t column : {3, 11, 20, 39}) {
        Tensor x = RandomTensor(7 * 40, 1);
        x[3 * 40 + column] = bad;
        const Tensor weights = RandomTensor(33 * 40, 2);
        const PackedMatrix packed = device_->Pack(SourceOf(weights, 33, 40), format);
        Tensor out(7 * 33);
        device_->MatMul({x.data(), 40, 7, &packed, nullptr, nullptr, 0, out.data(), 33});
        for (size_t i = 0; i < out.size(); ++i) {
          EXPECT_EQ(std::isfinite(out[i]), i / 33 != 3) << i;
        }
      }
    }
  }
}

// The extremes of codes and inputs, where narrow sums would overflow.
TEST_P(MatMulTest, LargestCodesAndInputsDoNotSaturate) {
  constexpr int64_t kInputs = 96;
  for (const float input : {1.0f, -1.0f}) {
    for (const float weight : {1.0f, -1.0f}) {
      const Tensor x(kInputs, input);
      Tensor weights(20 * kInputs, weight);
      for (size_t i = 0; i < weights.size(); i += 7) weights[i] = -weight / 2;
      const PackedMatrix q8 = device_->Pack(SourceOf(weights, 20, kInputs), WeightFormat::kQ8);
      const PackedMatrix q4 = device_->Pack(SourceOf(weights, 20, kInputs), WeightFormat::kQ4);
      for (const PackedMatrix* packed : {&q8, &q4}) {
        Tensor out(20);
        device_->MatMul({x.data(), kInputs, 1, packed, nullptr, nullptr, 0, out.data(), 20});
        for (int64_t o = 0; o < 20; ++o) {
          double sum = 0;
          for (int64_t k = 0; k < kInputs; ++k) {
            sum += double{input} * weights[static_cast<size_t>(o * kInputs + k)];
          }
          EXPECT_NEAR(out[static_cast<size_t>(o)], sum, 0.2) << o;
        }
      }
    }
  }
}

TEST_P(MatMulTest, TinyGroupsOfInputsCountAsZeroWhereTheyAreRounded) {
  if (!RoundsToInt8()) GTEST_SKIP() << "inputs are not rounded to int8 here";
  const Tensor weights = RandomTensor(64, 1);
  for (WeightFormat format : {WeightFormat::kQ8, WeightFormat::kQ4}) {
    const PackedMatrix packed = device_->Pack(SourceOf(weights, 1, 64), format);
    Tensor out;
    for (const float tiny : {0x1p-101f, 0.0f, 0x1p-99f}) {
      Tensor x(64, tiny);
      x[40] = 0x1p-90f;
      out.push_back(0);
      device_->MatMul({x.data(), 64, 1, &packed, nullptr, nullptr, 0, &out.back(), 1});
    }
    EXPECT_EQ(out[0], out[1]);
    EXPECT_NE(out[0], out[2]);
  }
}

INSTANTIATE_KERNEL_TEST(MatMulTest);

}  // namespace
}  // namespace ssmd::kernels
