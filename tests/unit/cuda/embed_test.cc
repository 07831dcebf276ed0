// Embed gives every weight of a table, exactly, in every format.
#include <gtest/gtest.h>

#include "kernels/cuda/plain_ops.h"
#include "tests/unit/cuda/product_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

using CudaEmbedTest = simt::GpuTest;

TEST_F(CudaEmbedTest, ReturnsEveryWeight) {
  const auto reference = MakeReferenceDevice();
  for (const WeightFormat format : kAllWeightFormats) {
    SCOPED_TRACE(WeightFormatName(format));
    for (const auto& [outputs, inputs] : {std::pair<int64_t, int64_t>{1, 1}, {3, 300}, {130, 65}}) {
      const Tensor weights = RandomTensor(outputs * inputs, 1);
      const MatrixSource source = SourceOf(weights, outputs, inputs);
      std::vector<int32_t> ids;
      for (int64_t i = outputs - 1; i >= 0; --i) ids.push_back(static_cast<int32_t>(i));
      Tensor out(static_cast<size_t>(outputs * inputs + 1), 7.0f);
      Tensor expected = out;

      const PackedMatrix table = PackForGpu(source, format);
      plain::Embed(stream(), {&table, ids.data(), outputs, out.data()});
      stream().Synchronize();
      const PackedMatrix plain_table = reference->Pack(source, format);
      reference->Embed({&plain_table, ids.data(), outputs, expected.data()});
      EXPECT_TRUE(SameBits(out, expected)) << outputs << "x" << inputs;
    }
  }
  EXPECT_EQ(gpu().failure(), "");
}

TEST_F(CudaEmbedTest, OfNoRowsIsNothing) {
  const Tensor weights = RandomTensor(4, 1);
  const PackedMatrix table = PackForGpu(SourceOf(weights, 2, 2), WeightFormat::kF32);
  plain::Embed(stream(), {&table, nullptr, 0, nullptr});
  stream().Synchronize();
  EXPECT_EQ(gpu().failure(), "");
}

}  // namespace
}  // namespace ssmd::kernels::cuda
