// The commit log under a crash at every operation, and under an error at every operation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "tests/support/fault_file_system.h"
#include "tests/unit/log/commit_log_fixture.h"

namespace ssmd {
namespace {

using testing::FaultFileSystem;
using testing::ImageOf;
using testing::LogOptions;
using testing::OpenLog;
using testing::StartAppend;
using Crash = testing::FaultFileSystem::Crash;
using Fault = testing::FaultFileSystem::Fault;

constexpr int64_t kSegmentBytes = 500;

// A random sequence of appends, compactions and restarts, and what was answered.
class Script {
 public:
  Script(FaultFileSystem* files, uint32_t seed) : files_(files), random_(seed) {}

  // Until it is through, or the disk lets it down for good.
  void Run() {
    for (int step = 0; step < 25; ++step) {
      if (log_ == nullptr && !Open()) break;
      switch (random_() % 6) {
        case 0:
          Compact();
          break;
        case 1:
          log_ = nullptr;
          break;
        default:
          Append();
      }
      if (files_->crashed()) break;
    }
    log_ = nullptr;
  }

  // What a log that is opened now replays is what was answered, and no more.
  void Check(const std::vector<std::string>& replayed, Crash crash) const {
    size_t at = 0;
    bool lost = false;
    for (size_t i = 0; i < records_.size(); ++i) {
      const Record& record = records_[i];
      const bool there = at < replayed.size() && replayed[at] == record.text;
      if (there) {
        EXPECT_FALSE(record.refused) << record.text << " is there, and was said not to be";
        EXPECT_FALSE(lost) << record.text << " is there, and one before it is not";
        ++at;
      } else if (record.acknowledged) {
        EXPECT_TRUE(crash != Crash::kProcess && i >= synced_) << record.text << " is lost";
        lost = true;
      }
    }
    EXPECT_EQ(at, replayed.size()) << "records in another order, or never appended";
  }

 private:
  struct Record {
    std::string text;
    bool acknowledged = false;
    bool refused = false;  // and said to be nowhere
  };

  bool Open() {
    std::vector<std::string> replayed;
    auto log = OpenLog(LogOptions(files_, kSegmentBytes), &replayed);
    EXPECT_FALSE(absl::IsDataLoss(log.status())) << log.status();
    if (!log.ok()) return false;
    Check(replayed, Crash::kProcess);
    log_ = *std::move(log);
    return true;
  }

  void Append() {
    std::vector<std::future<absl::Status>> answers;
    std::vector<Durability> durabilities;
    const size_t first = records_.size();
    for (uint32_t count = 1 + random_() % 4; count > 0; --count) {
      Record record;
      record.text = std::to_string(records_.size()) + std::string(random_() % 150, '.');
      durabilities.push_back(random_() % 3 == 0 ? Durability::kPower : Durability::kProcess);
      answers.push_back(StartAppend(log_.get(), record.text, durabilities.back()));
      records_.push_back(std::move(record));
    }
    for (size_t i = 0; i < answers.size(); ++i) {
      const absl::Status status = answers[i].get();
      Record& record = records_[first + i];
      record.acknowledged = status.ok();
      record.refused = !status.ok() && !absl::IsInternal(status) && !files_->crashed();
      if (status.ok() && durabilities[i] == Durability::kPower) synced_ = first + i + 1;
    }
  }

  void Compact() {
    const auto segment = log_->StartSegment();
    if (!segment.ok()) return;
    synced_ = records_.size();
    std::vector<std::string> image;
    for (const Record& record : records_) {
      if (record.acknowledged) image.push_back(record.text);
    }
    log_->Install(*segment, ImageOf(std::move(image))).IgnoreError();
  }

  FaultFileSystem* files_;
  std::mt19937 random_;
  std::unique_ptr<CommitLog> log_;
  std::vector<Record> records_;
  size_t synced_ = 0;  // records before this one are on the medium, where they were acknowledged
};

struct CrashCase {
  std::string name;
  Crash crash;
  uint32_t seed;
};
class CommitLogCrashTest : public ::testing::TestWithParam<CrashCase> {
 protected:
  // Opens the log, which crashes at its first operation, then at its second, and so on.
  void OpenThroughCrashes(FaultFileSystem* files, std::vector<std::string>* replayed) {
    for (int64_t operation = 0;; ++operation) {
      files->Restart(GetParam().crash, static_cast<uint32_t>(operation));
      files->FailAt(operation, Fault::kCrash);
      const auto log = OpenLog(LogOptions(files, kSegmentBytes), replayed);
      if (files->crashed()) continue;
      ASSERT_EQ(log.status(), absl::OkStatus());
      files->ClearFaults();  // the one that did not come
      return;
    }
  }
};

TEST_P(CommitLogCrashTest, KeepsWhatWasAcknowledged) {
  bool crashed = true;
  for (int64_t operation = 0; crashed; ++operation) {
    SCOPED_TRACE(operation);
    FaultFileSystem files;
    files.MakeDirectory("/state").IgnoreError();
    files.FailAt(operation, Fault::kCrash);
    Script script(&files, GetParam().seed);
    script.Run();
    crashed = files.crashed();

    std::vector<std::string> replayed;
    OpenThroughCrashes(&files, &replayed);
    script.Check(replayed, GetParam().crash);
    if (HasFailure()) return;

    // And the log goes on from there.
    std::vector<std::string> expected = replayed;
    {
      auto log = OpenLog(LogOptions(&files, kSegmentBytes), &replayed);
      ASSERT_EQ(log.status(), absl::OkStatus());
      ASSERT_EQ(replayed, expected);
      ASSERT_EQ(testing::AppendAndWait(log->get(), "after", Durability::kPower), absl::OkStatus());
    }
    expected.emplace_back("after");
    files.Restart(GetParam().crash, 1);
    ASSERT_TRUE(OpenLog(LogOptions(&files, kSegmentBytes), &replayed).ok());
    ASSERT_EQ(replayed, expected);
  }
}

std::vector<CrashCase> CrashCases() {
  std::vector<CrashCase> cases;
  for (uint32_t seed = 1; seed <= 6; ++seed) {
    cases.push_back({"OfTheProcess" + std::to_string(seed), Crash::kProcess, seed});
    cases.push_back({"OfTheMachine" + std::to_string(seed), Crash::kMachine, seed});
    cases.push_back({"OfTheMachineTorn" + std::to_string(seed), Crash::kMachineTorn, seed});
  }
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Cases, CommitLogCrashTest, ::testing::ValuesIn(CrashCases()),
                         [](const auto& test) { return test.param.name; });

struct ErrorCase {
  std::string name;
  Fault fault;
  int64_t count;
  Crash crash;  // how it ends
  uint32_t seed;
};
class CommitLogErrorTest : public ::testing::TestWithParam<ErrorCase> {};

TEST_P(CommitLogErrorTest, AnswersTruly) {
  for (int64_t operation = 0;; ++operation) {
    SCOPED_TRACE(operation);
    FaultFileSystem files;
    files.FailAt(operation, GetParam().fault, GetParam().count);
    Script script(&files, GetParam().seed);
    script.Run();
    const bool reached = files.operations() > operation;
    files.Restart(GetParam().crash, static_cast<uint32_t>(operation));

    std::vector<std::string> replayed;
    ASSERT_EQ(OpenLog(LogOptions(&files, kSegmentBytes), &replayed).status(), absl::OkStatus());
    script.Check(replayed, GetParam().crash);
    if (HasFailure() || !reached) return;
  }
}

std::vector<ErrorCase> ErrorCases() {
  std::vector<ErrorCase> cases;
  for (uint32_t seed = 1; seed <= 3; ++seed) {
    const std::string suffix = std::to_string(seed);
    const Crash crash = std::array{Crash::kProcess, Crash::kMachine, Crash::kMachineTorn}[seed % 3];
    cases.push_back({"Full" + suffix, Fault::kFull, 1, crash, seed});
    cases.push_back({"FullForAWhile" + suffix, Fault::kFull, 5, crash, seed});
    cases.push_back({"Broken" + suffix, Fault::kBroken, 1, crash, seed});
    cases.push_back({"BrokenForAWhile" + suffix, Fault::kBroken, 3, crash, seed});
  }
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Cases, CommitLogErrorTest, ::testing::ValuesIn(ErrorCases()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace ssmd
