// GGUF files that ggml's own package wrote (tests/reference/make_gguf_golden.py), run on every
// device: the same bits as safetensors of the same weights, and the logits of a float64 evaluation
// of what their quantised blocks hold.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/models/language_model.h"
#include "kernels/device.h"
#include "tests/golden/golden_files.h"
#include "tests/support/test_model.h"

namespace ssmd {
namespace {

using testing::LogitRows;

std::filesystem::path GgufFolder() {
  return std::filesystem::path(SSMD_GOLDEN_DATA).parent_path() / "gguf";
}

struct GgufOutcome {
  ModelInfo info;
  LogitRows logits;
};

GgufOutcome RunGguf(const std::string& path, const std::vector<int32_t>& tokens,
                    kernels::Device* device,
                    std::optional<kernels::WeightFormat> weights = kernels::WeightFormat::kF32) {
  ModelLoadOptions options;
  options.weights = weights;
  const auto model = LoadLanguageModel(path, options, device);
  EXPECT_TRUE(model.ok()) << model.status();
  if (!model.ok()) return {};
  const auto pool = StatePool::Create(device, (*model)->state_layout(), 1);
  return {(*model)->info(),
          testing::RunInSegments(**model, **pool, tokens, {static_cast<int>(tokens.size())})};
}

class GgufGolden : public ::testing::TestWithParam<std::string> {
 protected:
  const std::unique_ptr<kernels::Device> device_ = testing::MakeDevice(GetParam(), 2);
};

TEST_P(GgufGolden, HasTheBitsOfSafetensorsWithTheSameWeights) {
  const std::vector<int32_t> tokens = {0, 36, 31, 4, 15, 9, 2, 6, 23, 28, 9, 7};
  for (const std::string name : {"mamba_odd", "mamba2_biases"}) {
    SCOPED_TRACE(name);
    const GgufOutcome gguf = RunGguf(GgufFolder() / (name + ".gguf"), tokens, device_.get());
    const GgufOutcome folder =
        RunGguf(std::filesystem::path(SSMD_GOLDEN_DATA) / name, tokens, device_.get());
    testing::ExpectSameBits(gguf.logits, folder.logits);
    EXPECT_EQ(gguf.info.architecture, folder.info.architecture);
    EXPECT_EQ(gguf.info.parameters, folder.info.parameters);
    EXPECT_EQ(gguf.info.vocabulary, folder.info.vocabulary);
  }
}

TEST_P(GgufGolden, GivesTheLogProbabilitiesOfWhatItsBlocksHold) {
  for (const char* name : {"falcon_q8_0", "mamba_q4_0", "mamba_k"}) {
    SCOPED_TRACE(name);
    const std::string base = GgufFolder() / name;
    const testing::Expected expected = testing::ReadExpected(base + ".expected.safetensors");
    const GgufOutcome outcome = RunGguf(base + ".gguf", expected.tokens, device_.get());
    EXPECT_LT(testing::Distance(outcome.logits, expected.logits), testing::kTolerance);
    EXPECT_EQ(outcome.info.weights, "f32");
    EXPECT_EQ(outcome.info.bos_token_id, 0);
    EXPECT_EQ(outcome.info.eos_token_ids, std::vector<int32_t>{0});
  }
}

// Quantised as the file is, unless told otherwise. Q8_0 and Q4_0 lose nothing by it, so that what
// is left is the rounding of activations (and of the selection's weights, to bf16).
TEST_P(GgufGolden, KeepsBlocksQuantisedUnlessTold) {
  const struct {
    const char* name;
    const char* weights;
  } kFiles[] = {{"falcon_q8_0", "q8"}, {"mamba_q4_0", "q4"}};
  for (const auto& c : kFiles) {
    SCOPED_TRACE(c.name);
    const std::string base = GgufFolder() / c.name;
    const testing::Expected expected = testing::ReadExpected(base + ".expected.safetensors");
    const GgufOutcome outcome =
        RunGguf(base + ".gguf", expected.tokens, device_.get(), std::nullopt);
    EXPECT_EQ(outcome.info.weights, c.weights);
    EXPECT_LT(testing::RelativeDistance(outcome.logits, expected.logits), 0.1);
  }
}

INSTANTIATE_TEST_SUITE_P(All, GgufGolden, ::testing::ValuesIn(testing::DeviceNames()),
                         [](const auto& test) { return "on_" + test.param; });

}  // namespace
}  // namespace ssmd
