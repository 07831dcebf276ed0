// Quantised weights that a start keeps for the next one: it reads them, says so, and answers the
// same; what is damaged or of another model is made again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/daemon.h"
#include "tests/support/models.h"
#include "tests/support/turn.h"

namespace ssmd::test {
namespace {

using ::testing::SizeIs;

constexpr char kKept[] = "weights_cached";
constexpr char kRead[] = "weights_read_from_cache";
// With a head of its own: a tied one of random weights says the last token again and again.
constexpr MambaShape kShape = {.d_model = 64, .layers = 2, .vocabulary = 300, .falcon = true};

class WeightCacheStart : public ::testing::TestWithParam<const char*> {
 protected:
  WeightCacheStart() { WriteRandomMamba(model_, kShape, 1); }

  bool IsBeside() const { return std::string(GetParam()) == "beside"; }
  std::string CacheFolder() const { return IsBeside() ? model_ : dir_.File("cache"); }

  // The answer of a daemon that was started, that said `event` of its cache and was stopped again.
  // `replaced`: and that the file that was there was no good.
  std::vector<int32_t> AnswerOfStart(const std::string& event, bool replaced = false) {
    const std::string folder = IsBeside() ? "beside" : CacheFolder();
    return Answer({"--cache-dir", folder}, event, replaced);
  }
  std::vector<int32_t> AnswerWithoutCache() { return Answer({}, ""); }

  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path())) {
      const std::string path = entry.path().string();
      if (path.find(".ssmd-packed") != std::string::npos) files.push_back(path);
    }
    std::sort(files.begin(), files.end());
    return files;
  }

  const TempDir dir_;
  const std::string model_ = dir_.File("model");

 private:
  std::vector<int32_t> Answer(std::vector<std::string> flags, const std::string& event,
                              bool replaced = false) {
    flags.insert(flags.end(), {"--model-option", "m.weights=q8"});
    const auto daemon = Daemon::Start(DaemonOptions{std::move(flags), "m=" + model_});
    if (daemon == nullptr) return {};
    v1::GenerateRequest request = GreedyRequest("", 40);
    SetTokens({1, 2, 3}, &request);
    const Turn turn = RunTurn(*daemon->Connect(), request);
    EXPECT_FALSE(turn.error) << turn.Describe();
    EXPECT_EQ(daemon->Stop(), 0);
    const std::string log = daemon->log();
    for (const char* each : {kKept, kRead}) {
      EXPECT_EQ(log.find(each) != std::string::npos, event == each) << log;
    }
    EXPECT_EQ(log.find("model_warning") != std::string::npos, replaced) << log;
    EXPECT_EQ(log.find("kept weights were made again") != std::string::npos, replaced) << log;
    EXPECT_EQ(log.find(CacheFolder() + "/") != std::string::npos, !event.empty()) << log;
    return turn.only().ids;
  }
};

TEST_P(WeightCacheStart, TheSecondOneReadsWhatTheFirstOneKept) {
  const std::vector<int32_t> plain = AnswerWithoutCache();
  ASSERT_THAT(plain, SizeIs(40));
  EXPECT_GT(std::set<int32_t>(plain.begin(), plain.end()).size(), 5u);
  EXPECT_THAT(Files(), SizeIs(0));
  EXPECT_EQ(AnswerOfStart(kKept), plain);
  const std::vector<std::string> files = Files();
  ASSERT_THAT(files, SizeIs(1));
  EXPECT_EQ(std::filesystem::path(files[0]).parent_path().string(), CacheFolder());
  const std::string bytes = ReadFile(files[0]);

  EXPECT_EQ(AnswerOfStart(kRead), plain);
  EXPECT_EQ(Files(), files);
  EXPECT_EQ(ReadFile(files[0]), bytes);
}

TEST_P(WeightCacheStart, ADamagedFileIsReplaced) {
  const std::vector<int32_t> answer = AnswerOfStart(kKept);
  const std::vector<std::string> files = Files();
  ASSERT_THAT(files, SizeIs(1));
  const std::string whole = ReadFile(files[0]);
  std::string changed = whole;
  changed[whole.size() / 2] = static_cast<char>(changed[whole.size() / 2] ^ 1);
  const std::string damages[] = {changed, whole.substr(0, whole.size() / 2), ""};
  for (const std::string& damaged : damages) {
    SCOPED_TRACE(damaged.size());
    std::ofstream(files[0], std::ios::binary | std::ios::trunc) << damaged;
    EXPECT_EQ(AnswerOfStart(kKept, /*replaced=*/true), answer);
    EXPECT_EQ(Files(), files);
    EXPECT_EQ(ReadFile(files[0]), whole);
  }
  EXPECT_EQ(AnswerOfStart(kRead), answer);
}

TEST_P(WeightCacheStart, AModelThatChangedIsKeptAnew) {
  const std::vector<int32_t> before = AnswerOfStart(kKept);
  WriteRandomMamba(model_, kShape, 2);
  const std::vector<int32_t> after = AnswerOfStart(kKept);
  EXPECT_NE(after, before);
  EXPECT_EQ(AnswerOfStart(kRead), after);
  EXPECT_EQ(AnswerWithoutCache(), after);
}

INSTANTIATE_TEST_SUITE_P(Where, WeightCacheStart, ::testing::Values("folder", "beside"),
                         [](const auto& where) { return std::string(where.param); });

}  // namespace
}  // namespace ssmd::test
