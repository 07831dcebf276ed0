// A tiny random RetNet (tests/reference/make_retnet_golden.py) under both of its public namings, on
// every device.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "engine/models/language_model.h"
#include "kernels/device.h"
#include "tests/golden/golden_files.h"
#include "tests/support/test_model.h"

namespace ssmd {
namespace {

class RetNetGolden : public ::testing::TestWithParam<std::string> {};

TEST_P(RetNetGolden, BothNamingsGiveTheLogProbabilitiesOfFloat64) {
  const auto device = testing::MakeDevice(GetParam(), 2);
  const auto root = std::filesystem::path(SSMD_GOLDEN_DATA).parent_path() / "retnet";
  const testing::Expected expected = testing::ReadExpected(root / "expected.safetensors");
  const int length = static_cast<int>(expected.tokens.size());
  for (const char* name : {"torchscale", "hugging_face"}) {
    SCOPED_TRACE(name);
    const auto model = LoadLanguageModel(root / name, ModelLoadOptions(), device.get());
    ASSERT_TRUE(model.ok()) << model.status();
    const auto pool = StatePool::Create(device.get(), (*model)->state_layout(), 1);
    EXPECT_LT(
        testing::Distance(testing::RunInSegments(**model, **pool, expected.tokens, {length - 4, 4}),
                          expected.logits),
        testing::kTolerance);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, RetNetGolden, ::testing::ValuesIn(testing::DeviceNames()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace ssmd
