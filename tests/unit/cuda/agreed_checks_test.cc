// What is remembered of comparisons, and when it counts for nothing.
#include "kernels/cuda/selfcheck/agreed_checks.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "kernels/cuda/selfcheck/build_id.h"

namespace ssmd::kernels::cuda {
namespace {

namespace fs = std::filesystem;

constexpr char kGpu[] = "cuda/emulated (9.0)";
constexpr char kBuild[] = "cuda/emulated (9.0), driver 1, build 2";

class AgreedChecksTest : public testing::Test {
 protected:
  AgreedChecksTest() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = testing::TempDir() + "ssmd_agreed_" + info->name() + std::to_string(getpid());
  }
  ~AgreedChecksTest() override { fs::remove_all(folder_); }

  // Remembers two.
  std::string Keep() {
    AgreedChecks checks(folder_, kGpu, kBuild);
    checks.Add("scan channels=3");
    checks.Add("norm cols=7");
    checks.Save();
    return checks.path();
  }
  bool Remembered(const std::string& holds_for = kBuild) {
    const AgreedChecks checks(folder_, kGpu, holds_for);
    return checks.Has("scan channels=3") && checks.Has("norm cols=7");
  }

  std::string folder_;
};

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST_F(AgreedChecksTest, IsThereTheNextTime) {
  const std::string path = Keep();
  EXPECT_TRUE(Remembered());
  AgreedChecks more(folder_, kGpu, kBuild);
  EXPECT_FALSE(more.Has("norm cols=8"));
  more.Add("norm cols=8");
  more.Save();
  EXPECT_TRUE(Remembered());
  EXPECT_TRUE(AgreedChecks(folder_, kGpu, kBuild).Has("norm cols=8"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(AgreedChecksTest, HoldsForNothingElse) {
  const std::string path = Keep();
  const std::string other = "cuda/emulated (9.0), driver 1, build 3";
  EXPECT_FALSE(Remembered(other));
  EXPECT_TRUE(Remembered());
  // The other build takes its place.
  AgreedChecks checks(folder_, kGpu, other);
  EXPECT_EQ(checks.path(), path);
  checks.Add("scan channels=4");
  checks.Save();
  EXPECT_FALSE(Remembered());
  EXPECT_FALSE(Remembered(other));
  EXPECT_TRUE(AgreedChecks(folder_, kGpu, other).Has("scan channels=4"));
  EXPECT_NE(AgreedChecks(folder_, "another GPU", kBuild).path(), path);
}

TEST_F(AgreedChecksTest, AFileThatWasChangedIsAsNone) {
  const std::string path = Keep();
  const std::string text = Contents(path);
  ASSERT_TRUE(Remembered());
  for (size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    std::ofstream(path, std::ios::binary) << changed;
    ASSERT_FALSE(Remembered()) << "byte " << i;
    std::ofstream(path, std::ios::binary) << text.substr(0, i);
    ASSERT_FALSE(Remembered()) << "cut off at " << i;
  }
  std::ofstream(path, std::ios::binary) << text << "\n";
  EXPECT_FALSE(Remembered());
  std::ofstream(path, std::ios::binary) << std::string(size_t{3} << 20, 'x');
  EXPECT_FALSE(Remembered());
}

TEST_F(AgreedChecksTest, NothingIsKeptWhereNothingCanBe) {
  for (const auto& [folder, holds_for] : {std::pair<std::string, std::string>{"", kBuild},
                                          {folder_, ""},
                                          {folder_, "two\nlines"},
                                          {"/dev/null/x", kBuild}}) {
    AgreedChecks checks(folder, kGpu, holds_for);
    checks.Add("scan channels=3");
    EXPECT_TRUE(checks.Has("scan channels=3"));
    checks.Save();
    EXPECT_FALSE(AgreedChecks(folder, kGpu, holds_for).Has("scan channels=3"));
  }
  EXPECT_FALSE(fs::exists(folder_));
}

TEST(BuildId, IsThere) {
  EXPECT_GE(BuildId().size(), 16u);
  EXPECT_EQ(BuildId().find_first_not_of("0123456789abcdef"), std::string::npos);
}

}  // namespace
}  // namespace ssmd::kernels::cuda
