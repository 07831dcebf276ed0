#include "clients/ssmctl/snapshot_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace ssmd::ctl {
namespace {

using ::testing::HasSubstr;

class SnapshotFileTest : public ::testing::Test {
 protected:
  SnapshotFileTest()
      : folder_(::testing::TempDir() + "ssmd_snapshot_file." + std::to_string(::getpid())) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
  }
  ~SnapshotFileTest() override { std::filesystem::remove_all(folder_); }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  size_t Files() const {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_)) ++count;
    return count;
  }

  const std::string folder_;
};

TEST_F(SnapshotFileTest, WhatWasCommittedIsReadBack) {
  const std::string bytes = std::string("ab\0c", 4);
  {
    SnapshotWriter writer(Path("s"));
    ASSERT_FALSE(writer.Open());
    ASSERT_FALSE(writer.Write(bytes));
    ASSERT_FALSE(writer.Write("def"));
    EXPECT_FALSE(std::filesystem::exists(Path("s"))) << "not before it is whole";
    ASSERT_FALSE(writer.Commit());
    EXPECT_EQ(writer.bytes(), 7);
  }
  EXPECT_EQ(Files(), 1U);
  struct stat info {};
  ASSERT_EQ(::stat(Path("s").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);

  SnapshotReader reader(Path("s"));
  ASSERT_FALSE(reader.Open());
  EXPECT_EQ(reader.size(), 7);
  std::string all;
  for (std::string part;;) {
    ASSERT_FALSE(reader.Read(3, &part));
    if (part.empty()) break;
    EXPECT_LE(part.size(), 3U);
    all += part;
  }
  EXPECT_EQ(all, bytes + "def");
}

TEST_F(SnapshotFileTest, WhatWasNotCommittedLeavesTheOldFileAndNoOther) {
  std::ofstream(Path("s")) << "old";
  {
    SnapshotWriter writer(Path("s"));
    ASSERT_FALSE(writer.Open());
    ASSERT_FALSE(writer.Write("new"));
  }
  EXPECT_EQ(Files(), 1U);
  std::string text;
  std::ifstream(Path("s")) >> text;
  EXPECT_EQ(text, "old");
}

TEST_F(SnapshotFileTest, LinksAreFollowed) {
  std::filesystem::create_directory(Path("real"));
  std::filesystem::create_symlink("real/s", Path("near"));
  std::filesystem::create_symlink(Path("near"), Path("far"));
  for (const std::string bytes : {"new", "newer"}) {  // what they name is absent, then there
    SnapshotWriter writer(Path("far"));
    ASSERT_FALSE(writer.Open());
    ASSERT_FALSE(writer.Write(bytes));
    ASSERT_FALSE(writer.Commit());
    EXPECT_TRUE(std::filesystem::is_symlink(Path("far")));
    EXPECT_TRUE(std::filesystem::is_symlink(Path("near")));
    std::string text;
    std::ifstream(Path("real/s")) >> text;
    EXPECT_EQ(text, bytes);
  }
  EXPECT_EQ(Files(), 3U);

  std::filesystem::create_symlink("loop", Path("loop"));
  SnapshotWriter writer(Path("loop"));
  EXPECT_THAT(writer.Open().value_or(""), HasSubstr("loop: Too many levels"));
}

TEST_F(SnapshotFileTest, APipeIsWrittenToAndStays) {
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  const int reader = ::open(Path("pipe").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  {
    SnapshotWriter writer(Path("pipe"));
    ASSERT_FALSE(writer.Open());
    ASSERT_FALSE(writer.Write("abc"));
    ASSERT_FALSE(writer.Commit());
  }
  char bytes[8];
  EXPECT_EQ(::read(reader, bytes, sizeof(bytes)), 3);
  ::close(reader);
  EXPECT_TRUE(std::filesystem::is_fifo(Path("pipe")));
  EXPECT_EQ(Files(), 1U);
}

TEST_F(SnapshotFileTest, ADeviceThatTakesNothingIsAProblemAndStays) {
  {
    SnapshotWriter writer("/dev/full");
    ASSERT_FALSE(writer.Open());
    ASSERT_FALSE(writer.Write("abc"));
    EXPECT_THAT(writer.Commit().value_or(""), HasSubstr("cannot write /dev/full: No space left"));
  }
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
}

TEST_F(SnapshotFileTest, ProblemsNameTheFile) {
  SnapshotWriter writer(Path("no/such/folder"));
  EXPECT_THAT(writer.Open().value_or(""), HasSubstr("no/such/folder: No such file"));
  SnapshotWriter onto_folder(folder_);
  EXPECT_THAT(onto_folder.Open().value_or(""), HasSubstr("cannot write " + folder_));
  SnapshotReader reader(Path("absent"));
  EXPECT_THAT(reader.Open().value_or(""), HasSubstr("absent: No such file"));
  SnapshotReader folder(folder_);
  ASSERT_FALSE(folder.Open());
  std::string bytes;
  EXPECT_THAT(folder.Read(10, &bytes).value_or(""), HasSubstr("cannot read"));
}

}  // namespace
}  // namespace ssmd::ctl
