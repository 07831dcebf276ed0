#include "engine/models/weight_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/device.h"

namespace ssmd {
namespace {

using ::testing::HasSubstr;

// `blocks` blocks of a quantised type: zeros, with 1 for every factor.
class BlockTensor {
 public:
  BlockTensor(TensorType type, std::vector<size_t> factors, int64_t blocks)
      : factors_(std::move(factors)), bytes_(static_cast<size_t>(blocks) * TensorTypeBytes(type)) {
    for (int64_t block = 0; block < blocks; ++block) {
      for (size_t i = 0; i < factors_.size(); ++i) SetFactor(type, block, i, 0x3C00);
    }
    info_.name = "w";
    info_.type = type;
    info_.shape = {blocks, TensorTypeBlock(type)};
    info_.elements = blocks * TensorTypeBlock(type);
    info_.data = bytes_.data();
    info_.bytes = bytes_.size();
  }

  void SetFactor(TensorType type, int64_t block, size_t i, uint16_t half) {
    std::memcpy(&bytes_[static_cast<size_t>(block) * TensorTypeBytes(type) + factors_[i]], &half,
                sizeof(half));
  }
  const TensorInfo& info() const { return info_; }

 private:
  std::vector<size_t> factors_;
  std::vector<std::byte> bytes_;
  TensorInfo info_;
};

struct BlockFactors {
  TensorType type;
  std::vector<size_t> offsets;
  float zero;  // what quants of zero stand for under factors of 1
};

class WeightLoaderBlocks : public ::testing::TestWithParam<BlockFactors> {
 protected:
  WeightLoader MakeLoader(kernels::WeightFormat format = kernels::WeightFormat::kBf16) {
    return WeightLoader(device_.get(), format, 0, nullptr);
  }
  const std::unique_ptr<kernels::Device> device_ = kernels::MakeReferenceDevice();
};

TEST_P(WeightLoaderBlocks, AreWidened) {
  const BlockTensor tensor(GetParam().type, GetParam().offsets, 3);
  WeightLoader loader = MakeLoader();
  const auto values = loader.Values(tensor.info());
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_EQ(*values,
            std::vector<float>(static_cast<size_t>(tensor.info().elements), GetParam().zero));
  const auto matrix = loader.Matrix(tensor.info(), MatrixRole::kProjection);
  ASSERT_TRUE(matrix.ok()) << matrix.status();
  EXPECT_EQ(matrix->outputs, 3);
  EXPECT_EQ(matrix->inputs, TensorTypeBlock(GetParam().type));
}

TEST_P(WeightLoaderBlocks, AreRefusedWhereAnyFactorIsNotFinite) {
  const int64_t blocks = 5;
  for (size_t i = 0; i < GetParam().offsets.size(); ++i) {
    for (const uint16_t half : {0x7C00, 0xFC00, 0x7E01}) {
      BlockTensor tensor(GetParam().type, GetParam().offsets, blocks);
      tensor.SetFactor(GetParam().type, blocks - 1, i, half);
      const std::string index = std::to_string((blocks - 1) * TensorTypeBlock(GetParam().type));
      WeightLoader loader = MakeLoader();
      EXPECT_THAT(std::string(loader.Values(tensor.info()).status().message()),
                  HasSubstr("weight \"w\" is not finite at index " + index));
    }
  }
}

TEST_P(WeightLoaderBlocks, AreRefusedWhereAFactorIsTooLargeToQuantise) {
  BlockTensor tensor(GetParam().type, GetParam().offsets, 5);
  tensor.SetFactor(GetParam().type, 3, 0, 0x7BFF);  // 65504
  for (const auto format : {kernels::WeightFormat::kQ8, kernels::WeightFormat::kQ4}) {
    WeightLoader loader(device_.get(), format, 0, nullptr);
    EXPECT_THAT(
        std::string(loader.Matrix(tensor.info(), MatrixRole::kProjection).status().message()),
        HasSubstr("larger than 32768 at index " +
                  std::to_string(3 * TensorTypeBlock(GetParam().type))));
  }
}

TEST_P(WeightLoaderBlocks, LetActivationsBeRoundedButWhereTheyFeedTheRecurrence) {
  const BlockTensor tensor(GetParam().type, GetParam().offsets, 3);
  WeightLoader loader = MakeLoader();
  for (const auto& [role, may] :
       {std::pair(MatrixRole::kProjection, true), std::pair(MatrixRole::kVocabulary, true),
        std::pair(MatrixRole::kSelection, false)}) {
    const auto matrix = loader.Matrix(tensor.info(), role);
    ASSERT_TRUE(matrix.ok()) << matrix.status();
    EXPECT_EQ(matrix->may_round_inputs, may);
  }
}

// Tensors are examined in pieces, which must not cut a block.
TEST_P(WeightLoaderBlocks, AreExaminedWholeHoweverManyTheyAre) {
  const TensorType type = GetParam().type;
  const auto blocks = static_cast<int64_t>((size_t{9} << 20) / TensorTypeBytes(type));
  BlockTensor tensor(type, GetParam().offsets, blocks);
  WeightLoader loader = MakeLoader();
  EXPECT_TRUE(loader.Values(tensor.info()).ok());
  tensor.SetFactor(type, blocks - 1, 0, 0x7C00);
  EXPECT_THAT(std::string(loader.Values(tensor.info()).status().message()),
              HasSubstr("at index " + std::to_string((blocks - 1) * TensorTypeBlock(type))));
}

INSTANTIATE_TEST_SUITE_P(Types, WeightLoaderBlocks,
                         ::testing::Values(BlockFactors{TensorType::kQ8_0, {0}, 0},
                                           BlockFactors{TensorType::kQ4_0, {0}, -8},
                                           BlockFactors{TensorType::kQ4_K, {0, 2}, 0},
                                           BlockFactors{TensorType::kQ6_K, {208}, 0}),
                         [](const auto& test) {
                           return std::string(TensorTypeName(test.param.type));
                         });

}  // namespace
}  // namespace ssmd
