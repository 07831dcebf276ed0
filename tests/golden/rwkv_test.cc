// RWKV models on every device: really trained ones with the logits that rwkv.cpp's own tests expect
// of them, and tiny random ones (tests/reference/make_rwkv_golden.py) in all forms of their files.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/formats/mapped_file.h"
#include "engine/models/language_model.h"
#include "kernels/device.h"
#include "tests/golden/golden_files.h"
#include "tests/support/test_model.h"

namespace ssmd {
namespace {

using testing::LogitRows;
namespace fs = std::filesystem;

std::unique_ptr<LanguageModel> LoadRwkv(const std::string& path, kernels::Device* device) {
  auto model = LoadLanguageModel(path, ModelLoadOptions(), device);
  EXPECT_TRUE(model.ok()) << model.status();
  return model.ok() ? *std::move(model) : nullptr;
}

LogitRows RunFresh(LanguageModel& model, kernels::Device* device,
                   const std::vector<int32_t>& tokens, const std::vector<int>& lengths) {
  const auto pool = StatePool::Create(device, model.state_layout(), 1);
  return testing::RunInSegments(model, **pool, tokens, lengths);
}

std::vector<float> ReadFloats(const fs::path& path) {
  const auto file = MappedFile::Open(path);
  EXPECT_TRUE(file.ok()) << file.status();
  if (!file.ok()) return {};
  std::vector<float> floats(file->size() / sizeof(float));
  std::memcpy(floats.data(), file->data(), floats.size() * sizeof(float));
  return floats;
}

class TinyRwkv : public ::testing::TestWithParam<std::string> {
 protected:
  const std::unique_ptr<kernels::Device> device_ = testing::MakeDevice(GetParam(), 2);
};

TEST_P(TinyRwkv, GivesTheLogitsThatRwkvCppExpects) {
  const char* const data = std::getenv("SSMD_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "SSMD_TEST_DATA is not set";
  const fs::path folder = fs::path(data) / "weights" / "tiny-rwkv";
  const std::vector<int32_t> tokens = {'"', 'i', 'n'};
  for (const std::string name : {"4v0-660K", "5v2-730K", "7v0-834K"}) {
    SCOPED_TRACE(name);
    const auto model = LoadRwkv(folder / ("tiny-rwkv-" + name + "-FP32.bin"), device_.get());
    ASSERT_NE(model, nullptr);
    const std::vector<float> expected = ReadFloats(folder / ("expected-logits-" + name + ".bin"));
    for (const std::vector<int>& lengths : std::vector<std::vector<int>>{{3}, {1, 2}, {1, 1, 1}}) {
      const LogitRows rows = RunFresh(*model, device_.get(), tokens, lengths);
      ASSERT_EQ(rows.back().size(), expected.size());
      double largest = 0;
      for (size_t i = 0; i < expected.size(); ++i) {
        largest = std::max(largest, std::fabs(double{rows.back()[i]} - expected[i]));
      }
      EXPECT_LT(largest, 1e-3);
    }
  }
}

class RwkvGolden : public TinyRwkv {};

fs::path RwkvFolder() { return fs::path(SSMD_GOLDEN_DATA).parent_path() / "rwkv"; }

// Of the form's own logits, where it has some.
testing::Expected ExpectedOf(const std::string& name, const std::string& form) {
  const fs::path own = RwkvFolder() / (name + form + ".expected.safetensors");
  return testing::ReadExpected(fs::exists(own) ? own
                                               : RwkvFolder() / (name + ".expected.safetensors"));
}

constexpr const char* kRwkvCases[] = {"rwkv4", "rwkv5_1", "rwkv5_2", "rwkv6", "rwkv6_odd", "rwkv7"};

// Which cases have one, as make_rwkv_golden.py makes them.
bool HasPth(const std::string& name) {
  return name == "rwkv4" || name == "rwkv6" || name == "rwkv7";
}

TEST_P(RwkvGolden, EveryFormOfFileGivesTheLogProbabilitiesOfFloat64) {
  for (const std::string name : kRwkvCases) {
    struct File {
      const char* form;
      std::string path;
    };
    std::vector<File> files = {{"_bin", name + ".bin"}, {"_hf", name + "_hf"}};
    if (HasPth(name)) {
      files.push_back({"_pth", name + "/" + name + ".pth"});
      files.push_back({"_folder", name});
    }
    for (const auto& [form, path] : files) {
      SCOPED_TRACE(path);
      const auto model = LoadRwkv(RwkvFolder() / path, device_.get());
      ASSERT_NE(model, nullptr);
      const testing::Expected expected = ExpectedOf(name, form);
      const int length = static_cast<int>(expected.tokens.size());
      const LogitRows rows = RunFresh(*model, device_.get(), expected.tokens, {length});
      EXPECT_LT(testing::Distance(rows, expected.logits), testing::kTolerance);
    }
  }
}

// On the CPU the same bits; the reference device rounds its state at the end of a segment.
TEST_P(RwkvGolden, DependsOnNoCutOfThePrompt) {
  for (const std::string name : kRwkvCases) {
    SCOPED_TRACE(name);
    const auto model = LoadRwkv(RwkvFolder() / (name + "_hf"), device_.get());
    ASSERT_NE(model, nullptr);
    const std::vector<int32_t> tokens = ExpectedOf(name, "").tokens;
    const LogitRows whole =
        RunFresh(*model, device_.get(), tokens, {static_cast<int>(tokens.size())});
    const LogitRows single =
        RunFresh(*model, device_.get(), tokens, std::vector<int>(tokens.size(), 1));
    if (GetParam() == "reference") {
      EXPECT_LT(testing::Distance(single, testing::Widen(whole)), testing::kTolerance);
    } else {
      testing::ExpectSameBits(single, whole);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, RwkvGolden, ::testing::ValuesIn(testing::DeviceNames()),
                         [](const auto& test) { return test.param; });
INSTANTIATE_TEST_SUITE_P(Devices, TinyRwkv, ::testing::ValuesIn(testing::DeviceNames()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace ssmd
