// The trained models that come with ssmd give the log-probabilities of their trainer, over a
// thousand tokens of a text that none was trained on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/formats/mapped_file.h"
#include "engine/formats/safetensors.h"
#include "engine/models/language_model.h"
#include "kernels/device.h"
#include "tests/golden/golden_files.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_model.h"

namespace ssmd {
namespace {

namespace fs = std::filesystem;

// Of a log-probability; 1.7e-5 is the most that was measured.
constexpr double kTrainerTolerance = 1e-3;

struct Stories {
  std::vector<int32_t> tokens;
  std::map<std::string, std::vector<float>> logprobs;  // of all tokens but the first, by model
};

// Of make_stories_golden.py.
Stories ReadStories() {
  Stories stories;
  const auto file = MappedFile::Open(SSMD_GOLDEN_DATA "/stories.safetensors");
  EXPECT_TRUE(file.ok()) << file.status();
  const auto tensors = ParseSafetensors(file->data(), file->size(), "stories");
  EXPECT_TRUE(tensors.ok()) << tensors.status();
  for (const TensorInfo& tensor : *tensors) {
    const auto elements = static_cast<size_t>(tensor.elements);
    if (tensor.name == "tokens") {
      stories.tokens.resize(elements);
      std::memcpy(stories.tokens.data(), tensor.data, tensor.bytes);
    } else {
      std::vector<float>& logprobs = stories.logprobs[tensor.name];
      logprobs.resize(elements);
      std::memcpy(logprobs.data(), tensor.data, tensor.bytes);
    }
  }
  return stories;
}

TEST(Stories, AHeadSizeThatIsNotTheFilesIsRefused) {
  const testing::TempFolder folder;
  const fs::path model = SSMD_DEPLOY "/models/stories-rwkv7";
  fs::create_symlink(model / "model.safetensors", fs::path(folder.path()) / "model.safetensors");
  std::ifstream in(model / "config.json");
  std::string config((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const std::string written = "\"head_dim\": 32";
  const size_t at = config.find(written);
  ASSERT_NE(at, std::string::npos);
  folder.Write("config.json", config.replace(at, written.size(), "\"head_dim\": 64"));
  const auto device = kernels::MakeCpuDevice({std::nullopt, 1});
  const absl::Status status = LoadLanguageModel(folder.path(), {}, device.get()).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              ::testing::HasSubstr("r_k\" has heads of 32, and head_dim is 64"));
}

TEST(Stories, HaveTheLogProbabilitiesOfTheirTrainer) {
  const Stories stories = ReadStories();
  ASSERT_EQ(stories.tokens.size(), 1001u);
  const auto device = kernels::MakeCpuDevice({std::nullopt, 2});
  int models = 0;
  for (const auto& entry : fs::directory_iterator(SSMD_DEPLOY "/models")) {
    const std::string name = entry.path().filename();
    if (name.rfind("stories-", 0) != 0) continue;
    ++models;
    SCOPED_TRACE(name);
    ASSERT_EQ(stories.logprobs.count(name), 1u);
    const std::vector<float>& expected = stories.logprobs.at(name);
    ASSERT_EQ(expected.size(), 1000u);
    ModelLoadOptions options;
    options.weights = kernels::WeightFormat::kF32;
    const auto model = LoadLanguageModel(entry.path(), options, device.get());
    ASSERT_TRUE(model.ok()) << model.status();
    const auto pool = StatePool::Create(device.get(), (*model)->state_layout(), 1);
    ASSERT_TRUE(pool.ok()) << pool.status();
    const testing::LogitRows logits =
        testing::RunInSegments(**model, **pool, stories.tokens, {400, 400, 200, 1});
    double largest = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      const auto next = static_cast<size_t>(stories.tokens[i + 1]);
      const double logprob = testing::LogSoftmax(logits[i])[next];
      largest = std::max(largest, std::abs(logprob - double{expected[i]}));
    }
    EXPECT_LT(largest, kTrainerTolerance);
  }
  EXPECT_GT(models, 0);
}

}  // namespace
}  // namespace ssmd
