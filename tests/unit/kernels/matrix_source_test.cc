// Rows of every source type: by hand where the arithmetic is plain, and against what ggml's own
// package gives for random blocks (tests/reference/make_block_golden.py).
#include "kernels/matrix_source.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels {
namespace {

using Type = MatrixSource::Type;
using Bytes = std::vector<uint8_t>;

constexpr uint8_t kHalfOne[2] = {0x00, 0x3C};   // 1
constexpr uint8_t kHalfHalf[2] = {0x00, 0x38};  // 0.5

// From an odd address, which is the worst that a mapped file gives.
Tensor ReadRow(const Bytes& bytes, Type type, int64_t inputs, int64_t row = 0) {
  std::vector<std::byte> shifted(bytes.size() + 1);
  std::memcpy(shifted.data() + 1, bytes.data(), bytes.size());
  Tensor out(static_cast<size_t>(inputs), -1);
  ReadSourceRow({shifted.data() + 1, type, row + 1, inputs}, row, out.data());
  return out;
}

TEST(MatrixSource, Q8_0IsTheScaleTimesASignedByte) {
  Bytes block = {kHalfHalf[0], kHalfHalf[1]};
  Tensor expected;
  for (int i = 0; i < 32; ++i) {
    const int q = i == 0 ? -128 : i * 4 - 61;
    block.push_back(static_cast<uint8_t>(q));
    expected.push_back(0.5f * static_cast<float>(q));
  }
  EXPECT_TRUE(SameBits(ReadRow(block, Type::kQ8_0, 32), expected));
}

TEST(MatrixSource, Q4_0HoldsTheSecondHalfInTheHighBits) {
  Bytes block = {kHalfHalf[0], kHalfHalf[1]};
  Tensor expected(32);
  for (size_t i = 0; i < 16; ++i) {
    block.push_back(static_cast<uint8_t>(i | (15 - i) << 4));
    expected[i] = 0.5f * (static_cast<float>(i) - 8);
    expected[i + 16] = 0.5f * (7 - static_cast<float>(i));
  }
  EXPECT_TRUE(SameBits(ReadRow(block, Type::kQ4_0, 32), expected));
}

// The first four runs have scale and minimum whole, in six bits; the last four have their low
// halves in the last four bytes and their top bits above those of the first four.
TEST(MatrixSource, Q4_KTakesScaleAndMinimumOfEachRunOf32) {
  const int scales[8] = {1, 63, 17, 32, 1, 63, 18, 33};
  const int minima[8] = {0, 63, 5, 21, 62, 63, 16, 2};
  Bytes block = {kHalfOne[0], kHalfOne[1], kHalfHalf[0], kHalfHalf[1]};
  block.resize(144);
  for (size_t j = 0; j < 4; ++j) {
    block[4 + j] = static_cast<uint8_t>(scales[j] | scales[j + 4] >> 4 << 6);
    block[8 + j] = static_cast<uint8_t>(minima[j] | minima[j + 4] >> 4 << 6);
    block[12 + j] = static_cast<uint8_t>((scales[j + 4] & 15) | (minima[j + 4] & 15) << 4);
  }
  Tensor expected(256);
  for (size_t i = 0; i < 256; ++i) {
    const size_t run = i / 32;
    const auto q = static_cast<uint8_t>(i * 7 % 16);
    block[16 + run / 2 * 32 + i % 32] |= static_cast<uint8_t>(q << run % 2 * 4);
    expected[i] = static_cast<float>(scales[run] * q) - 0.5f * static_cast<float>(minima[run]);
  }
  EXPECT_TRUE(SameBits(ReadRow(block, Type::kQ4_K, 256), expected));
}

TEST(MatrixSource, Q6_KTakesASignedScaleOfEachRunOf16) {
  Bytes block(210);
  block[208] = kHalfHalf[0];
  block[209] = kHalfHalf[1];
  Tensor expected(256);
  for (size_t j = 0; j < 16; ++j) block[192 + j] = static_cast<uint8_t>(j * 16 + 128);
  for (size_t i = 0; i < 256; ++i) {
    const auto q = static_cast<int>(i * 11 % 64);
    const size_t run = i / 32;  // of 32: low bits in pairs of runs, high ones in fours
    const size_t low = i / 128 * 64 + run % 2 * 32 + i % 32;
    block[low] |= static_cast<uint8_t>((q & 15) << (run % 4 / 2 * 4));
    block[128 + i / 128 * 32 + i % 32] |= static_cast<uint8_t>((q >> 4) << (run % 4 * 2));
    const int scale = static_cast<int>(i / 16 * 16) - 128;
    expected[i] = 0.5f * static_cast<float>(scale) * static_cast<float>(q - 32);
  }
  EXPECT_TRUE(SameBits(ReadRow(block, Type::kQ6_K, 256), expected));
}

TEST(MatrixSource, RowsFollowEachOtherInWholeBlocks) {
  const Tensor weights = RandomTensor(6, 1);
  Bytes plain(24);
  std::memcpy(plain.data(), weights.data(), 24);
  EXPECT_TRUE(SameBits(ReadRow(plain, Type::kF32, 2, 2), {weights[4], weights[5]}));
  EXPECT_TRUE(SameBits(ReadRow({0x80, 0x3F, 0x00, 0x40}, Type::kBf16, 1, 1), {2}));
  EXPECT_TRUE(SameBits(ReadRow({0x00, 0x3C, 0x00, 0x40}, Type::kF16, 1, 1), {2}));

  Bytes blocks(6 * 34);  // 3 rows of 2 blocks, block k with the scale 1 and all values k
  for (size_t k = 0; k < 6; ++k) {
    std::memcpy(&blocks[k * 34], kHalfOne, 2);
    std::memset(&blocks[k * 34 + 2], static_cast<int>(k), 32);
  }
  const Tensor row = ReadRow(blocks, Type::kQ8_0, 64, 2);
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(row[i], i < 32 ? 4 : 5) << i;
}

struct BlockCase {
  Type type;
  const char* name;
};

class BlockGolden : public testing::TestWithParam<BlockCase> {};

TEST_P(BlockGolden, HasTheBitsThatGgmlGives) {
  std::ifstream in(std::string(SSMD_KERNEL_TEST_DATA) + "/" + GetParam().name + ".bin",
                   std::ios::binary);
  const Bytes file((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const SourceBlock& block = BlockOf(GetParam().type);
  const size_t bytes_and_values = block.bytes + static_cast<size_t>(block.inputs) * sizeof(float);
  ASSERT_FALSE(file.empty());
  ASSERT_EQ(file.size() % bytes_and_values, 0u);
  const size_t count = file.size() / bytes_and_values;
  Tensor expected(count * static_cast<size_t>(block.inputs));
  std::memcpy(expected.data(), &file[count * block.bytes], expected.size() * sizeof(float));
  const Bytes blocks(file.begin(), file.begin() + static_cast<ptrdiff_t>(count * block.bytes));
  EXPECT_TRUE(
      SameBits(ReadRow(blocks, GetParam().type, static_cast<int64_t>(expected.size())), expected));
}

// A block whose factors are all zero is all zeros: BlockOf names every factor there is.
TEST_P(BlockGolden, IsZeroWithoutItsFactors) {
  const SourceBlock& block = BlockOf(GetParam().type);
  Bytes bytes(block.bytes, 0x5A);
  for (int i = 0; i < block.factors; ++i) std::memset(&bytes[block.factor_offsets[i]], 0, 2);
  for (const float value : ReadRow(bytes, GetParam().type, block.inputs)) EXPECT_EQ(value, 0);
}

INSTANTIATE_TEST_SUITE_P(Types, BlockGolden,
                         testing::Values(BlockCase{Type::kQ8_0, "q8_0"},
                                         BlockCase{Type::kQ4_0, "q4_0"},
                                         BlockCase{Type::kQ4_K, "q4_k"},
                                         BlockCase{Type::kQ6_K, "q6_k"}),
                         [](const auto& test) { return std::string(test.param.name); });

using BlockPackTest = KernelTest;

TEST_P(BlockPackTest, PacksTheValuesOfBlocks) {
  const int64_t outputs = 70;
  const SourceBlock& block = BlockOf(Type::kQ4_K);
  std::mt19937 random(1);
  Bytes bytes(static_cast<size_t>(outputs) * block.bytes);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  for (size_t i = 0; i < bytes.size(); i += block.bytes) {
    std::memcpy(&bytes[i], kHalfHalf, 2);
    std::memcpy(&bytes[i + 2], kHalfOne, 2);
  }
  const MatrixSource source{reinterpret_cast<const std::byte*>(bytes.data()), Type::kQ4_K, outputs,
                            block.inputs};
  std::vector<int32_t> ids(static_cast<size_t>(outputs));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i);
  for (Device* device : {device_.get(), reference_.get()}) {
    const PackedMatrix packed = device->Pack(source, WeightFormat::kF32);
    ASSERT_TRUE(packed.data);
    Tensor all(static_cast<size_t>(outputs * block.inputs));
    device->Embed({&packed, ids.data(), outputs, all.data()});
    for (int64_t row = 0; row < outputs; ++row) {
      const auto begin = all.begin() + row * block.inputs;
      EXPECT_TRUE(SameBits(Tensor(begin, begin + block.inputs),
                           ReadRow(bytes, Type::kQ4_K, block.inputs, row)))
          << row;
    }
  }
}

INSTANTIATE_KERNEL_TEST(BlockPackTest);

}  // namespace
}  // namespace ssmd::kernels
