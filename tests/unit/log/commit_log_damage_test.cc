// The commit log's recovery of folders that are not as it left them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <utility>

#include "engine/base/little_endian.h"
#include "engine/log/log_format.h"
#include "tests/support/fault_file_system.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/log/commit_log_fixture.h"

namespace ssmd {
namespace {

using ::testing::AllOf;
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

constexpr char kFirst[] = "/state/log/log-00000001";
constexpr char kSecond[] = "/state/log/log-00000002";
constexpr char kImage[] = "/state/log/image-00000002";

class CommitLogDamageTest : public ::testing::Test {
 protected:
  // A log with these records, each written alone.
  void Make(const std::vector<std::string>& records) {
    const auto log = OpenLog(LogOptions(&files_), &records_);
    ASSERT_EQ(log.status(), absl::OkStatus());
    for (const std::string& record : records) {
      ASSERT_EQ(AppendAndWait(log->get(), record), absl::OkStatus());
    }
  }
  // "a" and "b", a new segment, "c", "d"; compacted or not.
  void MakeTwoSegments(bool compacted) {
    const auto log = OpenLog(LogOptions(&files_), &records_);
    ASSERT_EQ(log.status(), absl::OkStatus());
    for (const char* record : {"a", "b"}) ASSERT_TRUE(AppendAndWait(log->get(), record).ok());
    const auto segment = (*log)->StartSegment();
    ASSERT_EQ(segment.status(), absl::OkStatus());
    for (const char* record : {"c", "d"}) ASSERT_TRUE(AppendAndWait(log->get(), record).ok());
    if (!compacted) return;
    ASSERT_EQ((*log)->Install(*segment, ImageOf({"a", "b"})), absl::OkStatus());
  }

  absl::Status Open() { return OpenLog(LogOptions(&files_), &records_).status(); }
  std::string Message() { return std::string(Open().message()); }

  FaultFileSystem files_;
  std::vector<std::string> records_;
};

std::string Flipped(std::string bytes, size_t at) {
  bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
  return bytes;
}

// Where the frame of the record of this text begins, in a file of records as in `records`.
size_t OffsetOf(const std::vector<std::string>& records, size_t number) {
  auto offset = static_cast<size_t>(LogFileHeader::kBytes);
  for (size_t i = 0; i < number; ++i) {
    offset += static_cast<size_t>(LogFrame::kBytes) + records[i].size();
  }
  return offset;
}

TEST_F(CommitLogDamageTest, BeginsAnewInAnEmptyFolder) {
  ASSERT_TRUE(files_.MakeDirectory("/state/log").ok());
  EXPECT_EQ(Open(), absl::OkStatus());
  EXPECT_THAT(records_, IsEmpty());
  EXPECT_THAT(files_.Paths(), ElementsAre(kFirst));
}

TEST_F(CommitLogDamageTest, LeavesFilesOfOtherNamesAlone) {
  Make({"a"});
  for (const char* name : {"README", "log-1", "log-00000000", "log-0000000a", "image", "log-",
                           "log-99999999999999999999", "log-00000001.tmp.old"}) {
    files_.Write(std::string("/state/log/") + name, "something");
  }
  const auto paths = files_.Paths();
  EXPECT_EQ(Open(), absl::OkStatus());
  EXPECT_THAT(records_, ElementsAre("a"));
  EXPECT_EQ(files_.Paths(), paths);
}

TEST_F(CommitLogDamageTest, RemovesUnfinishedFiles) {
  Make({"a"});
  files_.Write("/state/log/log-00000002.tmp", "half a header");
  files_.Write("/state/log/image-00000002.tmp", "");
  EXPECT_EQ(Open(), absl::OkStatus());
  EXPECT_THAT(files_.Paths(), ElementsAre(kFirst));
}

TEST_F(CommitLogDamageTest, NoticesEveryFlippedByteOfTheLastSegment) {
  const std::vector<std::string> records = {"first", "second, longer", "third", "last"};
  Make(records);
  const std::string whole = files_.Read(kFirst);
  for (size_t at = 0; at < whole.size(); ++at) {
    SCOPED_TRACE(at);
    const std::string flipped = Flipped(whole, at);
    files_.Write(kFirst, flipped);
    const absl::Status status = Open();
    if (at >= OffsetOf(records, 3)) {
      // Of the last record nobody can say that it was ever whole.
      EXPECT_EQ(status, absl::OkStatus());
      EXPECT_THAT(records_, ElementsAre("first", "second, longer", "third"));
      EXPECT_EQ(files_.Read(kFirst), whole.substr(0, OffsetOf(records, 3)));
      continue;
    }
    EXPECT_EQ(files_.Read(kFirst), flipped);  // untouched
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(kFirst) + ": offset "));
    if (at < 8) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(std::string(status.message()), HasSubstr("not a file of a commit log"));
      continue;
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr("restore the folder"));
    size_t number = 2;
    while (number > 0 && OffsetOf(records, number) > at) --number;
    const size_t named = at < OffsetOf(records, 0) ? 0 : OffsetOf(records, number);
    EXPECT_THAT(std::string(status.message()), HasSubstr("offset " + std::to_string(named) + ":"));
  }
}

TEST_F(CommitLogDamageTest, CutsOffWhatIsTornAtTheEnd) {
  const std::vector<std::string> records = {"first", "second, longer", "third"};
  Make(records);
  const std::string whole = files_.Read(kFirst);
  for (size_t size = OffsetOf(records, 0); size < whole.size(); ++size) {
    SCOPED_TRACE(size);
    size_t kept = 0;
    while (OffsetOf(records, kept + 1) <= size) ++kept;
    std::vector<std::string> expected(records.begin(), records.begin() + kept);

    files_.Write(kFirst, whole.substr(0, size));
    {
      const auto log = OpenLog(LogOptions(&files_), &records_);
      ASSERT_EQ(log.status(), absl::OkStatus());
      EXPECT_EQ(records_, expected);
      EXPECT_EQ((*log)->figures().torn_bytes, static_cast<int64_t>(size - OffsetOf(records, kept)));
      ASSERT_EQ(AppendAndWait(log->get(), "after"), absl::OkStatus());
    }
    expected.emplace_back("after");
    EXPECT_EQ(Open(), absl::OkStatus());
    EXPECT_EQ(records_, expected);
  }
}

TEST_F(CommitLogDamageTest, CutsOffZerosAndRubbishAtTheEnd) {
  Make({"a"});
  const std::string whole = files_.Read(kFirst);
  for (const std::string& tail :
       {std::string(1, '\0'), std::string(1000, '\0'), std::string(1000, '\xff'),
        whole.substr(LogFileHeader::kBytes)}) {  // a record that was written elsewhere
    files_.Write(kFirst, whole + tail);
    EXPECT_EQ(Open(), absl::OkStatus());
    EXPECT_THAT(records_, ElementsAre("a"));
    EXPECT_EQ(files_.Read(kFirst), whole);
  }
}

// Pages of one write come to the medium in any order.
TEST_F(CommitLogDamageTest, CutsOffAWriteWhoseMiddleIsMissing) {
  {
    const auto log = OpenLog(LogOptions(&files_), &records_);
    ASSERT_EQ(log.status(), absl::OkStatus());
    BlockedLog blocked(log->get(), "alone");
    for (const char* record : {"together 1", "together 2", "together 3"}) {
      StartAppend(log->get(), record);
    }
  }
  const std::string whole = files_.Read(kFirst);
  const size_t first = OffsetOf({"alone"}, 1);
  const size_t second = OffsetOf({"alone", "together 1"}, 2);
  for (const auto& [at, expected] : std::vector<std::pair<size_t, std::vector<std::string>>>{
           {first, {"alone"}}, {second, {"alone", "together 1"}}}) {
    files_.Write(kFirst, Flipped(whole, at + 30));
    EXPECT_EQ(Open(), absl::OkStatus());
    EXPECT_EQ(records_, expected);
  }
  files_.Write(kFirst, Flipped(whole, first - 1));  // but "alone" was written before
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
}

TEST_F(CommitLogDamageTest, SaysHowToGiveUpWhatFollowsTheDamage) {
  Make({"first", "second", "third"});
  files_.Write(kFirst, Flipped(files_.Read(kFirst), OffsetOf({"first"}, 1) + 25));
  const std::string offset = std::to_string(OffsetOf({"first"}, 1));
  EXPECT_THAT(Message(), HasSubstr("`truncate -s " + offset + "`"));
  files_.Write(kFirst, files_.Read(kFirst).substr(0, OffsetOf({"first"}, 1)));
  EXPECT_EQ(Open(), absl::OkStatus());
  EXPECT_THAT(records_, ElementsAre("first"));
}

TEST_F(CommitLogDamageTest, NoticesEveryFlippedByteBeforeTheLastSegment) {
  for (const bool compacted : {false, true}) {
    for (const std::string& path : files_.Paths()) ASSERT_TRUE(files_.Remove(path).ok());
    MakeTwoSegments(compacted);
    const std::string path = compacted ? kImage : kFirst;
    const std::string whole = files_.Read(path);
    for (size_t at = 0; at < whole.size(); ++at) {
      SCOPED_TRACE(at);
      files_.Write(path, Flipped(whole, at));
      const absl::Status status = Open();
      EXPECT_EQ(status.code(),
                at < 8 ? absl::StatusCode::kInvalidArgument : absl::StatusCode::kDataLoss);
      EXPECT_THAT(std::string(status.message()), HasSubstr(path + ": offset "));
    }
    files_.Write(path, whole);
    EXPECT_EQ(Open(), absl::OkStatus());
    EXPECT_THAT(records_, ElementsAre("a", "b", "c", "d"));
  }
}

TEST_F(CommitLogDamageTest, NoticesWhereABeforeLastFileIsCutOff) {
  for (const bool compacted : {false, true}) {
    for (const std::string& path : files_.Paths()) ASSERT_TRUE(files_.Remove(path).ok());
    MakeTwoSegments(compacted);
    const std::string path = compacted ? kImage : kFirst;
    const std::string whole = files_.Read(path);
    for (size_t size = 0; size < whole.size(); ++size) {
      SCOPED_TRACE(size);
      files_.Write(path, whole.substr(0, size));
      EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
    }
    files_.Write(path, whole + "x");
    EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
  }
}

TEST_F(CommitLogDamageTest, NoticesAMissingSegment) {
  for (const std::string& missing : {std::string(kFirst), std::string(kSecond)}) {
    for (const std::string& path : files_.Paths()) ASSERT_TRUE(files_.Remove(path).ok());
    MakeTwoSegments(/*compacted=*/missing == kSecond);
    ASSERT_TRUE(files_.Remove(missing).ok());
    EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(Message(), AllOf(HasSubstr("/state/log: log-0000000"), HasSubstr("is missing"),
                                 HasSubstr("restore the folder")));
  }
}

TEST_F(CommitLogDamageTest, NoticesAGapInTheNumbers) {
  MakeTwoSegments(/*compacted=*/false);
  { ASSERT_TRUE((*OpenLog(LogOptions(&files_), &records_))->StartSegment().ok()); }
  ASSERT_TRUE(files_.Remove(kSecond).ok());
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Message(), HasSubstr("log-00000002 is missing"));
}

TEST_F(CommitLogDamageTest, NoticesAFileUnderAnothersName) {
  MakeTwoSegments(/*compacted=*/false);
  files_.Write(kFirst, files_.Read(kSecond));
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Message(), HasSubstr("renamed or replaced"));
}

TEST_F(CommitLogDamageTest, RefusesFilesOfAnotherKind) {
  for (const std::string& bytes : {std::string("PK\x03\x04"), std::string(100, '\0')}) {
    files_.Write(kFirst, bytes);
    EXPECT_EQ(Open().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(Message(), AllOf(HasSubstr(kFirst), HasSubstr("not a file of a commit log")));
  }
  files_.Write(kFirst, "");
  EXPECT_EQ(Open().code(), absl::StatusCode::kDataLoss);
}

TEST_F(CommitLogDamageTest, RefusesANewerVersion) {
  // The header of version 2 of the format: what follows its first 48 bytes is not ours to know.
  std::string bytes = EncodeLogFileHeader(LogFileHeader()).substr(0, 40);
  bytes[8] = 2;
  const uint64_t digest = XXH3_64bits(bytes.data(), bytes.size());
  PutLittleEndian<uint64_t>(&bytes, digest);
  files_.Write(kFirst, bytes + "whatever");
  EXPECT_EQ(Open().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(), AllOf(HasSubstr("version 2"), HasSubstr("reads 1"), HasSubstr(kFirst)));
}

TEST_F(CommitLogDamageTest, RefusesARecordLongerThanItsLimit) {
  Make({std::string(100, 'a')});
  CommitLogOptions options = LogOptions(&files_);
  options.record_bytes_max = 99;
  const auto log = OpenLog(options, &records_);
  EXPECT_EQ(log.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(log.status().message()), AllOf(HasSubstr(kFirst), HasSubstr("raise")));
}

TEST_F(CommitLogDamageTest, SaysWhatCannotBeRead) {
  Make({"a"});
  files_.FailReads(true);
  EXPECT_EQ(Open().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(Message(), AllOf(HasSubstr(kFirst), HasSubstr("cannot be read")));
}

TEST(CommitLogDamageOnDisk, RefusesWhatIsNoRegularFile) {
  const testing::TempFolder folder;
  CommitLogOptions options;
  options.directory = folder.path();
  ASSERT_EQ(mkdir(folder.File("log-00000001").c_str(), 0700), 0);
  std::vector<std::string> records;
  const auto log = OpenLog(options, &records);
  EXPECT_EQ(log.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(log.status().message()), HasSubstr("is not a regular file"));
}

}  // namespace
}  // namespace ssmd
