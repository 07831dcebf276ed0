#include "engine/state/layout.h"

#include <gtest/gtest.h>

namespace ssmd {
namespace {

TEST(StateLayout, AlignsEveryFieldAndTheSlot) {
  StateLayout layout;
  EXPECT_EQ(layout.bytes_per_slot(), 0u);
  EXPECT_EQ(layout.Add(0, "conv", StateKind::kConvRing, {3, 5}).offset, 0u);  // 60 bytes
  EXPECT_EQ(layout.Add(0, "ssm", StateKind::kSsm, {1, 16, 64}).offset, 64u);  // 4096 bytes
  EXPECT_EQ(layout.Add(1, "conv", StateKind::kConvRing, {17}).offset, 4160u);
  EXPECT_EQ(layout.bytes_per_slot(), 4160u + 128u);

  ASSERT_EQ(layout.fields().size(), 3u);
  EXPECT_EQ(layout.fields()[0].bytes, 60u);
  EXPECT_EQ(layout.fields()[1].bytes, 4096u);
  EXPECT_EQ(layout.fields()[2].layer, 1);
  for (const StateFieldSpec& field : layout.fields()) EXPECT_EQ(field.offset % 64, 0u);
}

TEST(StateLayout, GivesAFieldWithoutElementsNoBytes) {
  StateLayout layout;
  layout.Add(0, "conv", StateKind::kConvRing, {0, 64});
  EXPECT_EQ(layout.Add(0, "ssm", StateKind::kSsm, {64}).offset, 0u);
  EXPECT_EQ(layout.bytes_per_slot(), 256u);
}

TEST(StateLayout, DescribesEqualLayoutsEquallyAndOthersNot) {
  const auto make = [](const char* name, StateKind kind, std::vector<int64_t> shape) {
    StateLayout layout;
    layout.Add(0, name, kind, std::move(shape));
    return layout.Describe();
  };
  const std::string base = make("ssm", StateKind::kSsm, {2, 64});
  EXPECT_EQ(base, make("ssm", StateKind::kSsm, {2, 64}));
  EXPECT_NE(base, make("sss", StateKind::kSsm, {2, 64}));
  EXPECT_NE(base, make("ssm", StateKind::kConvRing, {2, 64}));
  EXPECT_NE(base, make("ssm", StateKind::kSsm, {64, 2}));
}

TEST(StateLayout, KeepsRecurrencesInItsFormatAndRingsInF32) {
  StateLayout layout(kernels::StateFormat::kBf16);
  const StatePlace ring = layout.Add(3, "conv", StateKind::kConvRing, {3, 64});
  const StatePlace state = layout.Add(3, "ssm", StateKind::kSsm, {16, 64});
  EXPECT_EQ(ring.format, kernels::StateFormat::kF32);
  EXPECT_EQ(state.format, kernels::StateFormat::kBf16);
  EXPECT_EQ(state.layer, 3u);
  EXPECT_EQ(layout.fields()[0].bytes, 3u * 64 * 4);
  EXPECT_EQ(layout.fields()[1].bytes, 16u * 64 * 2);
  EXPECT_EQ(layout.Describe(),
            "layer 3 conv conv_ring f32 3x64 at 0\nlayer 3 ssm ssm bf16 16x64 at 768\n");
}

}  // namespace
}  // namespace ssmd
