#include "engine/formats/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <utility>

#include "tests/support/temp_folder.h"

namespace ssmd {
namespace {

namespace fs = std::filesystem;

TEST(MappedFile, HoldsTheBytesAlsoAfterBeingMoved) {
  const testing::TempFolder folder;
  auto file = MappedFile::Open(folder.Write("a.bin", "hello"));
  ASSERT_TRUE(file.ok()) << file.status();
  MappedFile moved = *std::move(file);
  ASSERT_EQ(moved.size(), 5u);
  EXPECT_EQ(std::memcmp(moved.data(), "hello", 5), 0);
  EXPECT_EQ(moved.name(), "a.bin");

  auto other = MappedFile::Open(folder.Write("b.bin", "other file"));
  moved = *std::move(other);
  EXPECT_EQ(moved.name(), "b.bin");
  EXPECT_EQ(moved.size(), 10u);
}

TEST(MappedFile, MapsAnEmptyFileToNothing) {
  const testing::TempFolder folder;
  const auto file = MappedFile::Open(folder.Write("empty", ""));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->size(), 0u);
}

TEST(IsRegularFile, IsTrueOfFilesAndLinksToThemAlone) {
  const testing::TempFolder folder;
  fs::create_symlink(folder.Write("a.bin", "hello"), folder.File("link"));
  fs::create_symlink(folder.path(), folder.File("folder"));
  ASSERT_EQ(mkfifo(folder.File("pipe").c_str(), 0600), 0);
  EXPECT_TRUE(IsRegularFile(folder.File("a.bin")));
  EXPECT_TRUE(IsRegularFile(folder.File("link")));
  for (const char* name : {"folder", "pipe", "absent", ""}) {
    EXPECT_FALSE(IsRegularFile(folder.File(name))) << name;
  }
}

TEST(MappedFile, FollowsSymbolicLinks) {
  const testing::TempFolder folder;
  folder.Write("blob", "x");
  fs::create_symlink("blob", folder.File("link"));
  EXPECT_TRUE(MappedFile::Open(folder.File("link")).ok());
}

TEST(MappedFile, EnforcesTheLargestSize) {
  const testing::TempFolder folder;
  const std::string path = folder.Write("a", "12345");
  EXPECT_TRUE(MappedFile::Open(path, 6).ok());
  EXPECT_TRUE(MappedFile::Open(path, 5).ok());
  EXPECT_EQ(MappedFile::Open(path, 4).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(MappedFile, RefusesWhatIsNoRegularFile) {
  const testing::TempFolder folder;
  EXPECT_EQ(MappedFile::Open(folder.File("absent")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(MappedFile::Open(folder.path()).status().code(), absl::StatusCode::kInvalidArgument);
  // A pipe without a writer must not block.
  ASSERT_EQ(mkfifo(folder.File("pipe").c_str(), 0600), 0);
  EXPECT_EQ(MappedFile::Open(folder.File("pipe")).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MappedFile::Open("/dev/zero").status().code(), absl::StatusCode::kInvalidArgument);
  fs::create_symlink("loop_b", folder.File("loop_a"));
  fs::create_symlink("loop_a", folder.File("loop_b"));
  EXPECT_EQ(MappedFile::Open(folder.File("loop_a")).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MappedFile::Open(folder.Write("file", "x") + "/inside").status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace ssmd
