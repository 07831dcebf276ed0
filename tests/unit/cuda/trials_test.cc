// Which comparisons did not come to their end, as the next start finds it.
#include "kernels/cuda/selfcheck/trials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace ssmd::kernels::cuda {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kGpu[] = "cuda/emulated (9.0)";
constexpr char kBuild[] = "cuda/emulated (9.0), driver 1, build 2";
const Trial kScan = {"scan", "scan channels=3"};
const Trial kNorm = {"norm", "norm cols=7"};

class TrialsTest : public testing::Test {
 protected:
  TrialsTest() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = testing::TempDir() + "ssmd_trials_" + info->name() + std::to_string(getpid());
  }
  ~TrialsTest() override { fs::remove_all(folder_); }

  Trials Start(const std::string& holds_for = kBuild) { return {folder_, kGpu, holds_for}; }
  // A process that tries it and is killed meanwhile.
  void TryAndDie(const Trial& trial) {
    const pid_t child = fork();
    if (child == 0) {
      Trials trials = Start();
      trials.Begin(trial);
      kill(getpid(), SIGKILL);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
  }

  std::string folder_;
};

TEST_F(TrialsTest, WhatEndsLeavesNothing) {
  Trials trials = Start();
  trials.Begin(kScan);
  EXPECT_TRUE(fs::exists(trials.path()));
  trials.End(false);
  EXPECT_FALSE(fs::exists(trials.path()));
  EXPECT_THAT(Start().off(), IsEmpty());
}

TEST_F(TrialsTest, WhatIsCutShortIsTriedOnceMore) {
  TryAndDie(kScan);
  EXPECT_THAT(Start().off(), IsEmpty());
  TryAndDie(kScan);
  EXPECT_THAT(Start().off(), ElementsAre(kScan));
  // Others are still tried, and end as they end.
  Trials trials = Start();
  trials.Begin(kNorm);
  trials.End(false);
  EXPECT_THAT(Start().off(), ElementsAre(kScan));
  TryAndDie(kNorm);
  TryAndDie(kNorm);
  EXPECT_THAT(Start().off(), ElementsAre(kScan, kNorm));
}

// The others before it come to their ends meanwhile, each time.
TEST_F(TrialsTest, OthersInBetweenDoNotHideIt) {
  for (int start = 0; start < 2; ++start) {
    EXPECT_THAT(Start().off(), IsEmpty());
    Trials trials = Start();
    trials.Begin(kNorm);
    trials.End(false);
    TryAndDie(kScan);
  }
  EXPECT_THAT(Start().off(), ElementsAre(kScan));
}

TEST_F(TrialsTest, ComingToAnEndInBetweenCounts) {
  TryAndDie(kScan);
  Trials trials = Start();
  trials.Begin(kScan);
  trials.End(false);
  TryAndDie(kScan);
  EXPECT_THAT(Start().off(), IsEmpty());
}

TEST_F(TrialsTest, AGpuThatFailedInItSettlesIt) {
  Trials trials = Start();
  trials.Begin(kScan);
  trials.End(true);
  EXPECT_THAT(Start().off(), ElementsAre(kScan));
}

TEST_F(TrialsTest, HoldsForThatBuildAlone) {
  TryAndDie(kScan);
  TryAndDie(kScan);
  EXPECT_THAT(Start("cuda/emulated (9.0), driver 2, build 2").off(), IsEmpty());
  EXPECT_THAT(Start().off(), ElementsAre(kScan));
}

TEST_F(TrialsTest, ADamagedNoteIsNone) {
  TryAndDie(kScan);
  TryAndDie(kScan);
  const std::string path = Start().path();
  std::ifstream file(path, std::ios::binary);
  const std::string text = {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  for (size_t length = 0; length < text.size(); ++length) {
    std::ofstream(path, std::ios::binary) << text.substr(0, length);
    EXPECT_THAT(Start().off(), IsEmpty()) << length;
    std::string changed = text;
    changed[length] ^= 1;
    std::ofstream(path, std::ios::binary) << changed;
    EXPECT_THAT(Start().off(), IsEmpty()) << length;
  }
}

TEST_F(TrialsTest, WithoutAFolderNothingIsNoted) {
  for (const std::string& folder : {std::string(), folder_ + "/not/\0made"}) {
    Trials trials(folder, kGpu, folder.empty() ? kBuild : "");
    trials.Begin(kScan);
    trials.End(true);
    EXPECT_EQ(trials.path(), "");
  }
  EXPECT_FALSE(fs::exists(folder_));
}

}  // namespace
}  // namespace ssmd::kernels::cuda
