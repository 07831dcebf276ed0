// Checkpoints that several versions of torch wrote (tests/reference/make_torch_golden.py) are the
// models that safetensors hold: the same fingerprint, and the same logits, bit for bit.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/models/language_model.h"
#include "kernels/device.h"
#include "tests/support/test_model.h"

namespace ssmd {
namespace {

constexpr const char* kTorchFolders[] = {
    "mamba_original-2.0.1",             // a state dict, its tied head one storage
    "mamba_minimal-parameters-2.0.1",   // parameters that are slices of one storage
    "mamba_minimal-parameters-2.15.0",  // the same
    "mamba_f16-shards-2.15.0",          // two files with an index, in f16
};

struct Outcome {
  std::string fingerprint;
  testing::LogitRows logits;
};

Outcome LoadAndRun(const std::filesystem::path& folder, kernels::Device* device) {
  const auto model = LoadLanguageModel(folder, ModelLoadOptions(), device);
  EXPECT_TRUE(model.ok()) << model.status();
  if (!model.ok()) return {};
  const auto pool = StatePool::Create(device, (*model)->state_layout(), 1);
  const std::vector<int32_t> tokens = {0, 3, 1, 4, 1, 2, 2, 4};
  return {(*model)->info().fingerprint,
          testing::RunInSegments(**model, **pool, tokens, {static_cast<int>(tokens.size())})};
}

class TorchGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(TorchGolden, IsTheModelThatSafetensorsHold) {
  const std::filesystem::path root(SSMD_GOLDEN_DATA);
  const std::string name = GetParam();
  const std::string source = name.substr(0, name.find('-'));
  const auto device = kernels::MakeCpuDevice({});
  const Outcome torch = LoadAndRun(root.parent_path() / "torch" / name, device.get());
  const Outcome safetensors = LoadAndRun(root / source, device.get());
  EXPECT_EQ(torch.fingerprint, safetensors.fingerprint);
  ASSERT_EQ(torch.logits.size(), safetensors.logits.size());
  for (size_t row = 0; row < torch.logits.size(); ++row) {
    const std::vector<float>& a = torch.logits[row];
    const std::vector<float>& b = safetensors.logits[row];
    ASSERT_EQ(a.size(), b.size());
    EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0) << "row " << row;
  }
}

INSTANTIATE_TEST_SUITE_P(All, TorchGolden, ::testing::ValuesIn(kTorchFolders),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name) {
                             if (c == '-' || c == '.') c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace ssmd
