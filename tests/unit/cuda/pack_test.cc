// The order of packed matrices: codes lie apart from each other and inside, fragments are those of
// the tensor core, and slices of panels are the same bytes as the whole.
#include "kernels/cuda/pack.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <utility>

#include "kernels/number_format.h"
#include "kernels/quantise.h"
#include "tests/unit/cuda/product_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

TEST(CudaLayout, CodesAndScalesOfABlockTakeEveryByteOnce) {
  for (const WeightFormat format : kAllWeightFormats) {
    SCOPED_TRACE(WeightFormatName(format));
    std::set<int64_t> codes, scales;
    for (int output = 0; output < kPanelOutputs; ++output) {
      for (int64_t input = kBlockInputs; input < 2 * kBlockInputs; ++input) {
        const CodePlace place = PlaceOfCode(format, output, input);
        const int64_t bit = place.byte * 8 + place.shift - BlockCodeBytes(format) * 8;
        EXPECT_TRUE(codes.insert(bit / CodeBits(format)).second) << output << ", " << input;
      }
      if (!IsQuantised(format)) continue;
      for (int64_t group = 0; group < kBlockGroups; ++group) {
        EXPECT_TRUE(scales.insert(PlaceOfScale(format, output, group)).second);
      }
    }
    EXPECT_EQ(*codes.begin(), 0);
    EXPECT_EQ(*codes.rbegin(), kPanelOutputs * kBlockInputs - 1);
    if (IsQuantised(format)) {
      EXPECT_LT(*scales.rbegin(), BlockFactorBytes(format));
    }
  }
}

// A lane's 16 bytes are a[0] to a[3] of a warp's m16n8k16.
TEST(CudaLayout, SixteenBitCodesAreFragments) {
  for (int lane = 0; lane < kPanelLanes; ++lane) {
    const int g = lane % 32 / 4, q = lane % 4;
    for (int a = 0; a < 4; ++a) {
      for (int half = 0; half < 2; ++half) {
        const int output = lane / 32 * 16 + g + a % 2 * 8;
        const int input = 2 * q + a / 2 * 8 + half;
        EXPECT_EQ(PlaceOfCode(WeightFormat::kBf16, output, input).byte,
                  lane * 16 + a * 4 + half * 2);
      }
    }
  }
}

TEST(CudaLayout, SizesAreOfWholePanelsAndBlocks) {
  EXPECT_EQ(PackedMatrixBytes(65, 65, WeightFormat::kBf16), 128u * 128 * 2);
  EXPECT_EQ(PackedMatrixBytes(64, 64, WeightFormat::kF32), 64u * 64 * 4);
  EXPECT_EQ(PackedMatrixBytes(64, 64, WeightFormat::kFp8), 64u * 64 + 64 * 4);
  EXPECT_EQ(PackedMatrixBytes(64, 64, WeightFormat::kQ8), 64u * 64 + 64 * 2 * 2);
  EXPECT_EQ(PackedMatrixBytes(64, 64, WeightFormat::kQ4), 64u * 64 / 2 + 64 * 2 * 4);
  EXPECT_EQ(PackedMatrixBytes(kMaxMatrixSide, kMaxMatrixSide, WeightFormat::kF32), size_t{1} << 58);
  for (const auto& [outputs, inputs] : {std::pair<int64_t, int64_t>{0, 1},
                                        {1, 0},
                                        {-1, 1},
                                        {kMaxMatrixSide + 1, 1},
                                        {1, kMaxMatrixSide + 1}}) {
    EXPECT_EQ(PackedMatrixBytes(outputs, inputs, WeightFormat::kQ8), 0u);
  }
}

// Enough blocks of threads where the matrix allows, and no short segments.
TEST(CudaLayout, SegmentsDependOnTheShape) {
  EXPECT_EQ(SegmentCount(10240, 2560), 2);
  EXPECT_EQ(SegmentCount(2560, 5120), 7);
  EXPECT_EQ(SegmentCount(192, 5120), 8);
  EXPECT_EQ(SegmentCount(5120, 160), 1);
  EXPECT_EQ(SegmentCount(50280, 2560), 1);
  for (const int64_t outputs : {1, 64, 100, 2000, 100000}) {
    for (const int64_t inputs : {1, 64, 255, 256, 500, 512, 1000, 4096}) {
      const int64_t segments = SegmentCount(outputs, inputs);
      const int64_t blocks = BlockCount(inputs);
      EXPECT_GE(segments, 1);
      EXPECT_LE(segments, kMaxSegments);
      EXPECT_EQ(SegmentBegin(blocks, segments, 0), 0);
      EXPECT_EQ(SegmentBegin(blocks, segments, segments), blocks);
      for (int64_t s = 0; s < segments && segments > 1; ++s) {
        EXPECT_GE(SegmentBegin(blocks, segments, s + 1) - SegmentBegin(blocks, segments, s),
                  kMinSegmentBlocks);
      }
    }
  }
}

TEST(CudaPack, SlicesAreThoseOfTheWhole) {
  const Tensor weights = RandomTensor(200 * 70, 1);
  const MatrixSource source = SourceOf(weights, 200, 70);
  for (const WeightFormat format : kAllWeightFormats) {
    const PackedMatrix whole = PackForGpu(source, format);
    const auto panel_bytes = static_cast<size_t>(PanelBytes(70, format));
    const Buffer slice = AllocateHost(2 * panel_bytes);
    ASSERT_TRUE(PackPanels(source, format, 1, 3, slice.data()));
    EXPECT_EQ(std::memcmp(slice.data(), whole.data.data() + panel_bytes, 2 * panel_bytes), 0);
    ASSERT_TRUE(PackPanels(source, format, 3, 4, slice.data()));
    EXPECT_EQ(std::memcmp(slice.data(), whole.data.data() + 3 * panel_bytes, panel_bytes), 0);
  }
}

// Where staging memory held something else before.
TEST(CudaPack, PaddingIsZero) {
  const Tensor weights(33 * 33, 1.0f);
  for (const WeightFormat format : kAllWeightFormats) {
    SCOPED_TRACE(WeightFormatName(format));
    const auto bytes = static_cast<size_t>(PanelBytes(33, format));
    const Buffer panel = AllocateHost(bytes);
    std::memset(panel.data(), 0xFF, bytes);
    ASSERT_TRUE(PackPanels(SourceOf(weights, 33, 33), format, 0, 1, panel.data()));
    const auto code_at = [&](int output, int64_t input) {
      const CodePlace place = PlaceOfCode(format, output, input);
      return std::to_integer<int>(panel.data()[place.byte] >> place.shift) &
             (format == WeightFormat::kQ4 ? 0xF : 0xFF);
    };
    const int zero = format == WeightFormat::kQ8 ? kCodeOffset : 0;
    EXPECT_EQ(code_at(33, 0), zero);
    EXPECT_EQ(code_at(63, 63), zero);
    EXPECT_EQ(code_at(0, 33), zero);
    const std::byte* factors = panel.data() + FactorOffset(33, format);
    if (IsQuantised(format)) {
      for (const int64_t place : {PlaceOfScale(format, 33, 0), PlaceOfScale(format, 63, 1)}) {
        EXPECT_EQ(std::to_integer<int>(factors[place] | factors[place + 1]), 0);
      }
    }
  }
}

}  // namespace
}  // namespace ssmd::kernels::cuda
