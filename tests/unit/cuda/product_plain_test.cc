// The plain product: the bits of the CPU where that keeps the format, the reference's numbers where
// it does not, and rows that do not see each other.
#include <gtest/gtest.h>

#include <limits>

#include "kernels/cuda/plain_ops.h"
#include "kernels/quantise.h"
#include "tests/unit/cuda/product_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

// Sizes around panels, blocks and runs; rows around both heights of a tile.
constexpr ProductShape kPlainShapes[] = {
    {1, 1, 1},     {1, 70, 1100}, {3, 64, 64},  {4, 65, 63},  {5, 31, 513},
    {8, 130, 512}, {33, 17, 129}, {32, 66, 65}, {70, 40, 97},
};

class PlainProductTest : public simt::GpuTest {
 protected:
  Tensor Run(const ProductOperands& operands, const PackedMatrix& w, int64_t begin, int64_t end) {
    return operands.RunRows(w, begin, end, [&](const MatMulParams& params) {
      const auto scratch = Allocate<std::byte>(plain::RoundedRowBytes(params.rows, w.inputs));
      plain::MatMul(stream(), params, scratch.get());
      stream().Synchronize();
      EXPECT_EQ(gpu().failure(), "");
    });
  }
  Tensor RunAll(const ProductOperands& operands, const ProductShape& shape, WeightFormat format) {
    return Run(operands, PackForGpu(operands.source(), format), 0, shape.rows);
  }

  const std::unique_ptr<Device> cpu_ = MakeCpuDevice({Isa::kScalar, 1});
  const std::unique_ptr<Device> reference_ = MakeReferenceDevice();
};

TEST_F(PlainProductTest, GivesTheBitsOfTheCpu) {
  int variant = 0;
  for (const ProductShape& shape : kPlainShapes) {
    SCOPED_TRACE(testing::Message() << shape);
    const ProductOperands operands(shape, variant % 2 == 0, variant % 3 == 0);
    ++variant;
    for (const WeightFormat format : kWeightFormats) {
      EXPECT_TRUE(SameBits(RunAll(operands, shape, format), operands.RunOn(*cpu_, format)))
          << WeightFormatName(format);
    }
  }
}

TEST_F(PlainProductTest, AgreesWithTheReferenceWhereTheCpuHasNoSuchWeights) {
  for (const ProductShape& shape : kPlainShapes) {
    SCOPED_TRACE(testing::Message() << shape);
    const ProductOperands operands(shape, true, true);
    for (const WeightFormat format : {WeightFormat::kF16, WeightFormat::kFp8}) {
      EXPECT_LT(RelativeError(RunAll(operands, shape, format), operands.RunOn(*reference_, format)),
                1e-6)
          << WeightFormatName(format);
    }
  }
}

TEST_F(PlainProductTest, RowsAreIndependent) {
  const ProductShape shape = {40, 70, 600};
  const ProductOperands operands(shape, true, false);
  for (const WeightFormat format : kAllWeightFormats) {
    const PackedMatrix w = PackForGpu(operands.source(), format);
    const Tensor all = Run(operands, w, 0, shape.rows);
    for (const int64_t row : {0, 3, 31, 39}) {
      const auto at = all.begin() + row * operands.out_stride();
      EXPECT_TRUE(SameBits(Tensor(at, at + operands.out_stride()), Run(operands, w, row, row + 1)))
          << WeightFormatName(format) << ", row " << row;
    }
  }
}

// Groups of nothing, of what is too small to round, and rows that are not finite.
TEST_F(PlainProductTest, RoundsUnusualRowsAsTheCpu) {
  const ProductShape shape = {4, 10, 70};
  ProductOperands operands(shape, false, false);
  float* x = operands.x().data();
  for (int64_t k = 0; k < 32; ++k) x[k] = 0;
  for (int64_t k = 32; k < 64; ++k) x[k] = 0x1p-101f;
  x[operands.x_stride()] = 1e30f;
  x[2 * operands.x_stride() + 5] = std::numeric_limits<float>::infinity();
  for (const WeightFormat format : {WeightFormat::kQ8, WeightFormat::kQ4}) {
    const Tensor out = RunAll(operands, shape, format);
    const Tensor expected = operands.RunOn(*cpu_, format);
    for (size_t i = 0; i < out.size(); ++i) {
      if (std::isnan(expected[i])) {
        EXPECT_TRUE(std::isnan(out[i])) << i;
      } else {
        EXPECT_EQ(Bits(out[i]), Bits(expected[i])) << i;
      }
    }
  }
}

}  // namespace
}  // namespace ssmd::kernels::cuda
