#include "engine/log/commit_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "engine/base/errors.h"
#include "tests/support/fault_file_system.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/log/commit_log_fixture.h"

namespace ssmd {
namespace {

using testing::AppendAndWait;
using testing::BlockedLog;
using ::testing::ElementsAre;
using testing::FaultFileSystem;
using ::testing::HasSubstr;
using testing::ImageOf;
using ::testing::IsEmpty;
using testing::LogOptions;
using testing::OpenLog;
using testing::StartAppend;
using Fault = testing::FaultFileSystem::Fault;

class CommitLogTest : public ::testing::Test {
 protected:
  CommitLogTest() : options_(LogOptions(&files_)) {}

  std::unique_ptr<CommitLog> Open() {
    auto log = OpenLog(options_, &records_);
    EXPECT_EQ(log.status(), absl::OkStatus());
    return log.ok() ? *std::move(log) : nullptr;
  }
  std::vector<std::string> Reopened() {
    Open();
    return records_;
  }

  FaultFileSystem files_;
  CommitLogOptions options_;
  std::vector<std::string> records_;
};

TEST_F(CommitLogTest, ReplaysWhatWasAppendedInOrder) {
  std::vector<std::string> expected;
  for (int round = 0; round < 3; ++round) {
    const auto log = Open();
    EXPECT_EQ(records_, expected);
    for (int i = 0; i < 20; ++i) {
      expected.push_back(std::string(1 + 7 * i, static_cast<char>('a' + i)) + std::string(1, '\0'));
      EXPECT_EQ(AppendAndWait(log.get(), expected.back()), absl::OkStatus());
    }
    EXPECT_EQ(log->figures().records, 20);
  }
  EXPECT_EQ(Reopened(), expected);
}

TEST_F(CommitLogTest, WritesRecordsLargerThanItsBuffers) {
  const std::string large(3 << 20, 'x');
  const std::string other((1 << 20) - 10, 'y');
  {
    const auto log = Open();
    BlockedLog blocked(log.get());
    for (const std::string& record : {std::string("a"), other, large, std::string("b")}) {
      StartAppend(log.get(), record);
    }
  }
  EXPECT_EQ(Reopened(), (std::vector<std::string>{"blocks", "a", other, large, "b"}));
}

TEST_F(CommitLogTest, GoesOnInANewSegmentPastItsSize) {
  options_.segment_bytes = 200;
  std::vector<std::string> expected;
  {
    const auto log = Open();
    for (int i = 0; i < 12; ++i) {
      expected.emplace_back(60, static_cast<char>('a' + i));
      EXPECT_EQ(AppendAndWait(log.get(), expected.back()), absl::OkStatus());
    }
  }
  EXPECT_THAT(files_.Paths(), ElementsAre("/state/log/log-00000001", "/state/log/log-00000002",
                                          "/state/log/log-00000003", "/state/log/log-00000004",
                                          "/state/log/log-00000005", "/state/log/log-00000006",
                                          "/state/log/log-00000007"));
  EXPECT_EQ(Reopened(), expected);
}

TEST_F(CommitLogTest, CountsItsBytes) {
  options_.segment_bytes = 200;
  const auto log = Open();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(AppendAndWait(log.get(), std::string(70, 'x')).ok());
  const int64_t segment = *log->StartSegment();
  ASSERT_EQ(log->Install(segment, ImageOf({"all of it"})), absl::OkStatus());
  ASSERT_TRUE(AppendAndWait(log.get(), "more").ok());

  int64_t bytes = 0;
  for (const std::string& path : files_.Paths()) {
    bytes += static_cast<int64_t>(files_.Read(path).size());
  }
  EXPECT_EQ(log->figures().bytes, bytes);
  EXPECT_EQ(log->figures().image_bytes,
            static_cast<int64_t>(files_.Read("/state/log/image-00000004").size()));
}

TEST_F(CommitLogTest, RefusesRecordsThatAreEmptyOrTooLong) {
  options_.record_bytes_max = 10;
  {
    const auto log = Open();
    EXPECT_EQ(AppendAndWait(log.get(), "").code(), absl::StatusCode::kInvalidArgument);
    const absl::Status status = AppendAndWait(log.get(), "12345678901");
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("11 bytes"));
    EXPECT_EQ(AppendAndWait(log.get(), "1234567890"), absl::OkStatus());
    EXPECT_EQ(log->figures().failures, 2);
  }
  EXPECT_THAT(Reopened(), ElementsAre("1234567890"));
}

TEST_F(CommitLogTest, RefusesWhatItsQueueCannotHold) {
  options_.queued_bytes_max = 500;
  {
    const auto log = Open();
    BlockedLog blocked(log.get());
    auto fits = StartAppend(log.get(), std::string(200, 'a'));
    auto too_much = StartAppend(log.get(), std::string(400, 'b'));
    auto fits_too = StartAppend(log.get(), std::string(100, 'c'));
    blocked.Release();
    EXPECT_EQ(fits.get(), absl::OkStatus());
    const absl::Status refused = too_much.get();
    EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ReasonOf(refused), reason::kCommitLog);
    EXPECT_EQ(fits_too.get(), absl::OkStatus());
  }
  EXPECT_THAT(Reopened(), ElementsAre("blocks", std::string(200, 'a'), std::string(100, 'c')));
}

TEST_F(CommitLogTest, TakesOneRecordBeyondItsQueueWhereNothingElseWaits) {
  options_.queued_bytes_max = 1;
  { EXPECT_EQ(AppendAndWait(Open().get(), std::string(50, 'a')), absl::OkStatus()); }
  EXPECT_THAT(Reopened(), ElementsAre(std::string(50, 'a')));
}

TEST_F(CommitLogTest, SharesOneSyncAmongAppendsThatWait) {
  const auto log = Open();
  BlockedLog blocked(log.get());
  std::vector<std::future<absl::Status>> waiting;
  waiting.reserve(10);
  for (int i = 0; i < 10; ++i) {
    waiting.push_back(
        StartAppend(log.get(), "x", i % 2 ? Durability::kPower : Durability::kProcess));
  }
  const int64_t before = files_.operations();
  blocked.Release();
  for (auto& status : waiting) EXPECT_EQ(status.get(), absl::OkStatus());
  EXPECT_EQ(log->figures().syncs, 1);
  EXPECT_EQ(files_.operations() - before, 2);  // one write, one sync
}

TEST_F(CommitLogTest, SyncsOnlyForPower) {
  const auto log = Open();
  ASSERT_TRUE(AppendAndWait(log.get(), "a", Durability::kProcess).ok());
  EXPECT_EQ(log->figures().syncs, 0);
  ASSERT_TRUE(AppendAndWait(log.get(), "b", Durability::kPower).ok());
  EXPECT_EQ(log->figures().syncs, 1);
}

TEST_F(CommitLogTest, CallsBackEverythingBeforeItGoes) {
  std::vector<std::future<absl::Status>> waiting;
  {
    const auto log = Open();
    waiting.reserve(100);
    for (int i = 0; i < 100; ++i) waiting.push_back(StartAppend(log.get(), "x"));
  }
  for (auto& status : waiting) {
    ASSERT_EQ(status.wait_for(std::chrono::seconds(0)), std::future_status::ready);
    EXPECT_EQ(status.get(), absl::OkStatus());
  }
  EXPECT_EQ(Reopened().size(), 100u);
}

TEST_F(CommitLogTest, EndsTheReplayAtItsError) {
  { ASSERT_TRUE(AppendAndWait(Open().get(), "a").ok()); }
  const auto log = CommitLog::Open(
      options_, [](std::string_view) { return absl::FailedPreconditionError("no such model"); });
  EXPECT_EQ(log.status(), absl::FailedPreconditionError("no such model"));
}

TEST_F(CommitLogTest, IsNotMadeAnewWhereItMustExist) {
  options_.must_exist = true;
  EXPECT_EQ(
      CommitLog::Open(options_, [](std::string_view) { return absl::OkStatus(); }).status().code(),
      absl::StatusCode::kDataLoss);
  options_.must_exist = false;
  Open();
  options_.must_exist = true;
  EXPECT_THAT(Reopened(), IsEmpty());
}

TEST_F(CommitLogTest, RefusesLimitsThatMakeNoSense) {
  for (const auto& change : std::vector<std::function<void(CommitLogOptions*)>>{
           [](CommitLogOptions* o) { o->record_bytes_max = 0; },
           [](CommitLogOptions* o) { o->record_bytes_max = int64_t{1} << 32; },
           [](CommitLogOptions* o) { o->segment_bytes = 0; },
           [](CommitLogOptions* o) { o->queued_bytes_max = 0; }}) {
    CommitLogOptions options = options_;
    change(&options);
    EXPECT_EQ(OpenLog(options, &records_).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

// Compaction.

TEST_F(CommitLogTest, ReplacesThePastByAnImage) {
  {
    const auto log = Open();
    ASSERT_TRUE(AppendAndWait(log.get(), "a").ok());
    ASSERT_TRUE(AppendAndWait(log.get(), "b").ok());
    const auto segment = log->StartSegment();
    ASSERT_EQ(segment.status(), absl::OkStatus());
    EXPECT_EQ(*segment, 2);
    ASSERT_TRUE(AppendAndWait(log.get(), "c").ok());
    EXPECT_EQ(log->Install(*segment, ImageOf({"a+b", "and more"})), absl::OkStatus());
    ASSERT_TRUE(AppendAndWait(log.get(), "d").ok());
  }
  EXPECT_THAT(files_.Paths(), ElementsAre("/state/log/image-00000002", "/state/log/log-00000002"));
  EXPECT_THAT(Reopened(), ElementsAre("a+b", "and more", "c", "d"));
  {
    const auto log = Open();
    EXPECT_EQ(log->Install(*log->StartSegment(), ImageOf({})), absl::OkStatus());
  }
  EXPECT_THAT(files_.Paths(), ElementsAre("/state/log/image-00000003", "/state/log/log-00000003"));
  EXPECT_THAT(Reopened(), IsEmpty());
}

TEST_F(CommitLogTest, LosesNothingWhenACompactionEndsHalfway) {
  {
    const auto log = Open();
    ASSERT_TRUE(AppendAndWait(log.get(), "a").ok());
    const int64_t segment = *log->StartSegment();
    ASSERT_TRUE(AppendAndWait(log.get(), "b").ok());
    const auto broken = [calls = 0]() mutable -> absl::StatusOr<std::string> {
      if (calls++ == 0) return "half of it";
      return absl::AbortedError("changed my mind");
    };
    EXPECT_EQ(log->Install(segment, broken), absl::AbortedError("changed my mind"));
    EXPECT_EQ(log->figures().failures, 1);
    ASSERT_TRUE(AppendAndWait(log.get(), "c").ok());
  }
  EXPECT_THAT(files_.Paths(), ElementsAre("/state/log/log-00000001", "/state/log/log-00000002"));
  EXPECT_THAT(Reopened(), ElementsAre("a", "b", "c"));
}

TEST_F(CommitLogTest, RefusesAnImageOfRecordsTooLong) {
  options_.record_bytes_max = 10;
  const auto log = Open();
  const int64_t segment = *log->StartSegment();
  EXPECT_EQ(log->Install(segment, ImageOf({"12345678901"})).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(log->Install(segment, ImageOf({"1234567890"})), absl::OkStatus());
}

TEST_F(CommitLogTest, RefusesAnImageForASegmentThatItCannotStandBefore) {
  const auto log = Open();
  const int64_t segment = *log->StartSegment();
  for (const int64_t wrong : {int64_t{-1}, int64_t{0}, segment + 1}) {
    EXPECT_EQ(log->Install(wrong, ImageOf({})).code(), absl::StatusCode::kInvalidArgument) << wrong;
  }
  EXPECT_EQ(log->Install(segment, ImageOf({})), absl::OkStatus());
  EXPECT_EQ(log->Install(segment, ImageOf({})).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(CommitLogTest, CompactsOnceAtATime) {
  const auto log = Open();
  const int64_t segment = *log->StartSegment();
  absl::Status second;
  const auto next = [&]() -> absl::StatusOr<std::string> {
    second = log->Install(segment, ImageOf({}));
    return "";
  };
  EXPECT_EQ(log->Install(segment, next), absl::OkStatus());
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(CommitLogTest, KeepsWhatAnImageStandsForWhereItCannotBeRemoved) {
  {
    const auto log = Open();
    ASSERT_TRUE(AppendAndWait(log.get(), "a").ok());
    const int64_t segment = *log->StartSegment();
    // Remove, Create, Append, Sync, Rename, SyncDirectory; then the removal.
    files_.FailAt(6, Fault::kBroken);
    EXPECT_EQ(log->Install(segment, ImageOf({"image of a"})), absl::OkStatus());
    EXPECT_EQ(log->figures().failures, 1);
  }
  EXPECT_THAT(files_.Paths(), ElementsAre("/state/log/image-00000002", "/state/log/log-00000001",
                                          "/state/log/log-00000002"));
  EXPECT_THAT(Reopened(), ElementsAre("image of a"));
  EXPECT_THAT(files_.Paths(), ElementsAre("/state/log/image-00000002", "/state/log/log-00000002"));
}

// Errors of the disk.

TEST_F(CommitLogTest, TakesBackAWriteThatFailsAndGoesOn) {
  {
    const auto log = Open();
    ASSERT_TRUE(AppendAndWait(log.get(), "before").ok());
    files_.FailAt(0, Fault::kFull);
    const absl::Status status = AppendAndWait(log.get(), std::string(100, 'x'));
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ReasonOf(status), reason::kCommitLog);
    EXPECT_THAT(std::string(status.message()), HasSubstr("the commit log cannot be written"));
    EXPECT_EQ(AppendAndWait(log.get(), "after", Durability::kPower), absl::OkStatus());
    EXPECT_EQ(log->figures().failures, 1);
    EXPECT_EQ(log->figures().records, 2);
  }
  files_.Restart(FaultFileSystem::Crash::kMachine);
  EXPECT_THAT(Reopened(), ElementsAre("before", "after"));
}

TEST_F(CommitLogTest, TakesBackAllThatWasWrittenTogether) {
  {
    const auto log = Open();
    BlockedLog blocked(log.get());
    auto a = StartAppend(log.get(), "a");
    auto b = StartAppend(log.get(), std::string(100, 'b'));
    files_.FailAt(0, Fault::kFull);  // "a" is whole in what was written
    blocked.Release();
    EXPECT_EQ(a.get().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(b.get().code(), absl::StatusCode::kResourceExhausted);
  }
  // Nor does any of it come back with the power.
  files_.Restart(FaultFileSystem::Crash::kMachine);
  EXPECT_THAT(Reopened(), ElementsAre("blocks"));
}

struct BreakCase {
  std::string name;
  std::vector<int64_t> failing;  // operations of one append for power
};
class CommitLogBreakTest : public CommitLogTest, public ::testing::WithParamInterface<BreakCase> {};

TEST_P(CommitLogBreakTest, TakesNothingMoreUntilARestart) {
  {
    const auto log = Open();
    ASSERT_TRUE(AppendAndWait(log.get(), "before", Durability::kPower).ok());
    for (const int64_t operation : GetParam().failing) files_.FailAt(operation, Fault::kBroken);
    EXPECT_EQ(AppendAndWait(log.get(), "x", Durability::kPower).code(),
              absl::StatusCode::kInternal);
    for (const Durability durability : {Durability::kProcess, Durability::kPower}) {
      const absl::Status status = AppendAndWait(log.get(), "y", durability);
      EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
      EXPECT_THAT(std::string(status.message()), HasSubstr("until a restart"));
    }
    EXPECT_EQ(log->StartSegment().status().code(), absl::StatusCode::kInternal);
    EXPECT_EQ(log->figures().records, 1);
  }
  files_.ClearFaults();
  const auto log = Open();
  ASSERT_NE(log, nullptr);
  EXPECT_EQ(records_.front(), "before");
  EXPECT_THAT(records_, ::testing::Not(::testing::Contains("y")));
  EXPECT_EQ(AppendAndWait(log.get(), "z", Durability::kPower), absl::OkStatus());
}

// It writes and syncs; or it writes, shortens and syncs.
INSTANTIATE_TEST_SUITE_P(Cases, CommitLogBreakTest,
                         ::testing::Values(BreakCase{"Sync", {1}},
                                           BreakCase{"SyncAndTakeBack", {1, 2}},
                                           BreakCase{"TakeBack", {0, 1}},
                                           BreakCase{"SyncOfTakeBack", {0, 2}}),
                         [](const auto& test) { return test.param.name; });

TEST_F(CommitLogTest, GrowsOnWhereANewSegmentCannotBeMade) {
  options_.segment_bytes = 100;
  {
    const auto log = Open();
    // Append, Sync, Remove, then Create.
    files_.FailAt(3, Fault::kFull);
    EXPECT_EQ(AppendAndWait(log.get(), std::string(100, 'a')), absl::OkStatus());
    // The log's thread is past its attempt once it answers again.
    EXPECT_EQ(AppendAndWait(log.get(), "b"), absl::OkStatus());
    EXPECT_EQ(log->figures().failures, 1);
  }
  EXPECT_THAT(files_.Paths(), ElementsAre("/state/log/log-00000001", "/state/log/log-00000002"));
  EXPECT_THAT(Reopened(), ElementsAre(std::string(100, 'a'), "b"));
}

// On the machine's own disk.

TEST(CommitLogOnDisk, KeepsItsFilesFromOthers) {
  const testing::TempFolder folder;
  CommitLogOptions options;
  options.directory = folder.File("log");
  std::vector<std::string> records;
  {
    const auto log = OpenLog(options, &records);
    ASSERT_EQ(log.status(), absl::OkStatus());
    ASSERT_EQ(AppendAndWait(log->get(), "a", Durability::kPower), absl::OkStatus());
    ASSERT_EQ((*log)->Install(*(*log)->StartSegment(), ImageOf({"a"})), absl::OkStatus());
    ASSERT_EQ(AppendAndWait(log->get(), "b", Durability::kPower), absl::OkStatus());
  }
  ASSERT_TRUE(OpenLog(options, &records).ok());
  EXPECT_THAT(records, ElementsAre("a", "b"));

  struct stat info = {};
  ASSERT_EQ(stat(options.directory.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  for (const auto& entry : std::filesystem::directory_iterator(options.directory)) {
    ASSERT_EQ(stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << entry.path();
  }
}

TEST(CommitLogOnDisk, SaysWhichFolderCannotBeUsed) {
  const testing::TempFolder folder;
  CommitLogOptions options;
  std::vector<std::string> records;
  for (const std::string& path : {folder.Write("file", "text"), folder.File("absent/log")}) {
    options.directory = path;
    EXPECT_THAT(std::string(OpenLog(options, &records).status().message()), HasSubstr(path));
  }
}

}  // namespace
}  // namespace ssmd
