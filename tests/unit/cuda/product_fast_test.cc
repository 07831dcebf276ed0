// The fast product: exact fragments, sums of the rounded operands, and rows whose bits depend on
// nothing but themselves.
#include "kernels/cuda/product_fast.h"

#include <gtest/gtest.h>

#include "kernels/cuda/plain_ops.h"
#include "kernels/cuda/product_parts.h"
#include "kernels/number_format.h"
#include "kernels/quantise.h"
#include "tests/unit/cuda/product_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

using fast::ProductUnit;

// A format, and whether its inputs may be rounded.
struct ProductCase {
  WeightFormat format;
  bool may_round;
};
constexpr ProductCase kCases[] = {
    {WeightFormat::kBf16, true}, {WeightFormat::kBf16, false}, {WeightFormat::kF16, true},
    {WeightFormat::kF16, false}, {WeightFormat::kFp8, true},   {WeightFormat::kFp8, false},
    {WeightFormat::kQ8, true},   {WeightFormat::kQ4, true},
};
std::ostream& operator<<(std::ostream& out, const ProductCase& c) {
  return out << WeightFormatName(c.format) << (c.may_round ? "" : ", inputs as they are");
}

class FastProductTest : public simt::GpuTest {
 protected:
  static PackedMatrix Pack(const MatrixSource& source, const ProductCase& c) {
    PackedMatrix w = PackForGpu(source, c.format);
    w.may_round_inputs = c.may_round;
    return w;
  }
  void MatMul(const MatMulParams& params, ProductUnit unit = ProductUnit::kMma) {
    const auto scratch = Allocate<std::byte>(fast::ProductScratchBytes(params.rows, *params.w));
    fast::MatMulWith({unit, arrivals_.get()}, stream(), params, scratch.get());
    stream().Synchronize();
    EXPECT_EQ(gpu().failure(), "");
  }
  Tensor Run(const ProductOperands& operands, const PackedMatrix& w, int64_t begin, int64_t end) {
    return operands.RunRows(w, begin, end, [this](const MatMulParams& p) { MatMul(p); });
  }
  // All weights, as they are kept.
  Tensor Kept(const MatrixSource& source, WeightFormat format) {
    const PackedMatrix table = reference_->Pack(source, format);
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < source.outputs; ++i) ids.push_back(static_cast<int32_t>(i));
    Tensor kept(static_cast<size_t>(source.outputs * source.inputs));
    reference_->Embed({&table, ids.data(), source.outputs, kept.data()});
    return kept;
  }

  const std::unique_ptr<Device> reference_ = MakeReferenceDevice();
  const simt::OnGpu<uint32_t> arrivals_ =
      Upload(std::vector<uint32_t>(static_cast<size_t>(fast::kProductArrivals)));
};

float RoundedInput(float x, const ProductCase& c) {
  if (!c.may_round) return x;
  return c.format == WeightFormat::kF16 ? WidenF16(RoundToF16(x)) : WidenBf16(RoundToBf16(x));
}

// The largest |out − sum of the rounded operands| over the sum of their magnitudes.
double ErrorOfSums(const MatMulParams& params, const Tensor& kept, const ProductCase& c) {
  const PackedMatrix& w = *params.w;
  double largest = 0;
  for (int64_t r = 0; r < params.rows; ++r) {
    for (int64_t o = 0; o < w.outputs; ++o) {
      double sum = 0, magnitudes = 0;
      const auto add = [&](double term) {
        sum += term;
        magnitudes += std::abs(term);
      };
      for (int64_t k = 0; k < w.inputs; ++k) {
        add(double{RoundedInput(params.x[r * params.x_stride + k], c)} *
            kept[static_cast<size_t>(o * w.inputs + k)]);
      }
      if (params.bias != nullptr) add(params.bias[o]);
      if (params.add != nullptr) add(params.add[r * params.add_stride + o]);
      const double error = std::abs(params.out[r * params.out_stride + o] - sum) / magnitudes;
      if (!(error <= largest)) largest = error;
    }
  }
  return largest;
}

// One-hot rows give the weights themselves, bit for bit.
TEST_F(FastProductTest, FragmentsAreTheWeights) {
  constexpr int64_t kOutputs = 130, kInputs = 128;
  Tensor weights = RandomTensor(kOutputs * kInputs, 1);
  // Every number of e4m3 but the NaNs, in outputs whose largest weight is 448.
  for (size_t i = 0; i < 256; ++i) {
    weights[i] = (i & 0x7F) == 0x7F ? kMaxE4m3 : WidenE4m3(static_cast<uint8_t>(i));
  }
  Tensor ones(static_cast<size_t>(kInputs * kInputs));
  for (size_t k = 0; k < kInputs; ++k) ones[k * kInputs + k] = 1;
  const MatrixSource source = SourceOf(weights, kOutputs, kInputs);
  for (const ProductCase& c : kCases) {
    SCOPED_TRACE(testing::Message() << c);
    const PackedMatrix w = Pack(source, c);
    const Tensor kept = Kept(source, c.format);
    for (const int64_t rows : {int64_t{5}, kInputs}) {
      Tensor out(static_cast<size_t>(rows * kOutputs));
      MatMulParams params = {ones.data(), kInputs, rows, &w, nullptr, nullptr, 0, out.data()};
      params.out_stride = kOutputs;
      MatMul(params);
      for (int64_t k = 0; k < rows; ++k) {
        for (int64_t o = 0; o < kOutputs; ++o) {
          ASSERT_EQ(out[static_cast<size_t>(k * kOutputs + o)],
                    kept[static_cast<size_t>(o * kInputs + k)])
              << "output " << o << ", input " << k;
        }
      }
    }
  }
}

// Sizes around panels, pairs of them, blocks, segments, and tiles of rows.
constexpr ProductShape kFastShapes[] = {
    {1, 1, 1},    {1, 70, 520}, {3, 64, 64},  {9, 65, 63},    {20, 130, 300},
    {40, 3, 129}, {64, 66, 65}, {65, 64, 70}, {130, 129, 64}, {70, 10, 600},
};

TEST_F(FastProductTest, IsTheSumOfTheRoundedOperands) {
  int variant = 0;
  for (const ProductShape& shape : kFastShapes) {
    SCOPED_TRACE(testing::Message() << shape);
    const ProductOperands operands(shape, variant % 2 == 0, variant % 3 == 0);
    ++variant;
    for (const ProductCase& c : kCases) {
      SCOPED_TRACE(testing::Message() << c);
      const PackedMatrix w = Pack(operands.source(), c);
      const Tensor kept = Kept(operands.source(), c.format);
      const Tensor out = operands.Run(w, [&](const MatMulParams& params) {
        MatMul(params);
        EXPECT_LT(ErrorOfSums(params, kept, c), 0x1p-21);
      });
      for (int64_t r = 0; r < shape.rows; ++r) {
        ASSERT_EQ(out[static_cast<size_t>((r + 1) * operands.out_stride() - 1)], 7);
      }
    }
  }
}

TEST_F(FastProductTest, AgreesWithThePlainTwin) {
  const ProductShape shape = {6, 100, 700};
  const ProductOperands operands(shape, true, true);
  for (const ProductCase& c : kCases) {
    const PackedMatrix w = Pack(operands.source(), c);
    const Tensor plain = operands.Run(w, [this](const MatMulParams& params) {
      const auto scratch =
          Allocate<std::byte>(plain::RoundedRowBytes(params.rows, params.w->inputs));
      plain::MatMul(stream(), params, scratch.get());
      stream().Synchronize();
    });
    EXPECT_LT(RelativeError(Run(operands, w, 0, shape.rows), plain), c.may_round ? 1e-2 : 1e-6)
        << c;
  }
}

// P1: rows of a product of one, of few in tiles of every height, and of many, in segments that
// blocks have one each.
TEST_F(FastProductTest, BitsOfARowDoNotDependOnTheOthers) {
  const ProductShape shape = {200, 66, 520};
  ASSERT_GT(SegmentCount(shape.outputs, shape.inputs), 1);
  const ProductOperands operands(shape, true, true);
  for (const ProductCase& c : kCases) {
    const PackedMatrix w = Pack(operands.source(), c);
    const Tensor all = Run(operands, w, 0, shape.rows);
    for (const int64_t rows : {1, 3, 8, 17, 64, 70}) {
      const int64_t begin = shape.rows - rows - 5;
      const auto at = all.begin() + begin * operands.out_stride();
      EXPECT_TRUE(SameBits(Tensor(at, at + rows * operands.out_stride()),
                           Run(operands, w, begin, begin + rows)))
          << c << ", " << rows << " rows";
    }
  }
}

// And in segments that one block adds up, which it takes far more tiles than here.
TEST_F(FastProductTest, WhoAddsTheSegmentsDoesNotShow) {
  const ProductShape shape = {70, 66, 520};
  const ProductOperands operands(shape, true, true);
  for (const ProductCase& c : kCases) {
    const PackedMatrix w = Pack(operands.source(), c);
    ASSERT_LE(shape.rows, fast::SplitRows(w));
    const Tensor together = operands.Run(w, [&](const MatMulParams& params) {
      const auto scratch = Allocate<std::byte>(fast::RoundedRowsBytes(params.rows, w));
      const auto x = fast::RoundRows(stream(), params, scratch.get());
      const int64_t segments = SegmentCount(w.outputs, w.inputs);
      fast::MultiplyByMma(stream(), w,
                          {ViewOf(w), x, segments, nullptr, nullptr, OutputOf(params)});
      stream().Synchronize();
    });
    EXPECT_TRUE(SameBits(together, Run(operands, w, 0, shape.rows))) << c;
  }
}

// By the last block of a panel, or by a kernel of its own; and the arrivals are none again.
TEST_F(FastProductTest, WhoAddsTheSegmentsOfFewRowsDoesNotShow) {
  for (const ProductShape& shape : {ProductShape{7, 150, 1100}, {19, 70, 520}}) {
    ASSERT_GT(SegmentCount(shape.outputs, shape.inputs), 1);
    const ProductOperands operands(shape, true, true);
    for (const ProductCase& c : kCases) {
      const PackedMatrix w = Pack(operands.source(), c);
      const Tensor apart = operands.Run(w, [&](const MatMulParams& params) {
        const auto scratch = Allocate<std::byte>(fast::ProductScratchBytes(params.rows, w));
        fast::MatMul(stream(), params, scratch.get());
        stream().Synchronize();
      });
      EXPECT_TRUE(SameBits(Run(operands, w, 0, shape.rows), apart)) << c << ", " << shape;
      const auto arrivals = Download(arrivals_.get(), fast::kProductArrivals);
      for (const uint32_t count : arrivals) ASSERT_EQ(count, 0u);
    }
  }
}

// Also where many rows have no partial sums and fewer have.
TEST(FastProduct, ScratchForManyRowsIsEnoughForFewer) {
  for (const ProductShape& shape :
       {ProductShape{0, 2560, 5120}, {0, 10240, 2560}, {0, 192, 5120}}) {
    for (const ProductCase& c : kCases) {
      PackedMatrix w;
      w.outputs = shape.outputs;
      w.inputs = shape.inputs;
      w.format = c.format;
      w.may_round_inputs = c.may_round;
      size_t before = 0;
      for (int64_t rows = 0; rows < 2000; ++rows) {
        const size_t bytes = fast::ProductScratchBytes(rows, w);
        ASSERT_GE(bytes, before) << c << ", " << rows;
        before = bytes;
      }
    }
  }
}

TEST(FastProduct, MatricesInSegmentsHaveFewPanels) {
  for (int64_t outputs = 64; outputs < 100000; outputs += 64) {
    if (SegmentCount(outputs, 1 << 20) > 1) {
      ASSERT_LE(PanelCount(outputs), fast::kProductArrivals);
    }
  }
}

// The products of warpgroups, which the emulation adds as it does those of warps. What it cannot
// show is that a device adds for any number of rows alike.
TEST_F(FastProductTest, WarpgroupsMultiplyTheSame) {
  std::vector<ProductShape> shapes = {
      {5, 70, 260}, {14, 64, 64}, {30, 10, 130}, {60, 130, 70}, {70, 66, 520}};
#if !defined(__SANITIZE_THREAD__)  // it goes no other way
  shapes.push_back({131, 200, 70});
#endif
  for (const ProductShape& shape : shapes) {
    SCOPED_TRACE(testing::Message() << shape);
    const ProductOperands operands(shape, true, true);
    for (const ProductCase& c : kCases) {
      const PackedMatrix w = Pack(operands.source(), c);
      EXPECT_TRUE(SameBits(
          operands.Run(w, [this](const MatMulParams& p) { MatMul(p, ProductUnit::kWgmma); }),
          Run(operands, w, 0, shape.rows)))
          << c;
    }
  }
}

// What is not finite stays so, in its row alone.
TEST_F(FastProductTest, RowsThatAreNotFiniteAreSeen) {
  const ProductShape shape = {3, 20, 100};
  ProductOperands operands(shape, false, false);
  operands.x()[static_cast<size_t>(operands.x_stride()) + 7] = NAN;
  for (const ProductCase& c : kCases) {
    const Tensor out = Run(operands, Pack(operands.source(), c), 0, shape.rows);
    for (int64_t r = 0; r < shape.rows; ++r) {
      EXPECT_EQ(std::isnan(out[static_cast<size_t>(r * operands.out_stride())]), r == 1) << c;
    }
  }
}

TEST_F(FastProductTest, F32WeightsGoTheirPlainWay) {
  const ProductShape shape = {3, 20, 100};
  const ProductOperands operands(shape, true, true);
  const auto cpu = MakeCpuDevice({Isa::kScalar, 1});
  EXPECT_TRUE(SameBits(Run(operands, PackForGpu(operands.source(), WeightFormat::kF32), 0, 3),
                       operands.RunOn(*cpu, WeightFormat::kF32)));
}

}  // namespace
}  // namespace ssmd::kernels::cuda
