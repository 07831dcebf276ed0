#include "engine/base/file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/temp_folder.h"

namespace ssmd {
namespace {

using ::testing::HasSubstr;
using testing::TempFolder;

class FileSystemTest : public ::testing::Test {
 protected:
  TempFolder folder_;
  PosixFileSystem files_;
};

TEST_F(FileSystemTest, AppendsAtTheEndAlsoAfterTruncation) {
  const std::string path = folder_.File("a");
  {
    const auto file = files_.Create(path);
    ASSERT_EQ(file.status(), absl::OkStatus());
    EXPECT_EQ((*file)->Append("hello, world"), absl::OkStatus());
    EXPECT_EQ((*file)->Append(""), absl::OkStatus());
    EXPECT_EQ((*file)->Truncate(5), absl::OkStatus());
    EXPECT_EQ((*file)->Append("!"), absl::OkStatus());
    EXPECT_EQ((*file)->Sync(), absl::OkStatus());
  }
  EXPECT_EQ(folder_.Read("a"), "hello!");
  const auto file = files_.OpenToAppend(path);
  ASSERT_EQ(file.status(), absl::OkStatus());
  EXPECT_EQ((*file)->Append("?"), absl::OkStatus());
  EXPECT_EQ(folder_.Read("a"), "hello!?");
}

TEST_F(FileSystemTest, CreatesWhatIsNotThereAndOpensWhatIs) {
  folder_.Write("a", "text");
  EXPECT_EQ(files_.Create(folder_.File("a")).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(files_.OpenToAppend(folder_.File("b")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(files_.OpenToRead(folder_.File("b")).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(FileSystemTest, ReadsAnyPart) {
  folder_.Write("a", "0123456789");
  const auto file = files_.OpenToRead(folder_.File("a"));
  ASSERT_EQ(file.status(), absl::OkStatus());
  EXPECT_EQ((*file)->bytes(), 10);
  std::string out(4, ' ');
  EXPECT_EQ((*file)->ReadAt(6, absl::MakeSpan(out)), absl::OkStatus());
  EXPECT_EQ(out, "6789");
  EXPECT_EQ((*file)->ReadAt(7, absl::MakeSpan(out)).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ((*file)->ReadAt(10, {}), absl::OkStatus());
}

TEST_F(FileSystemTest, ReadsRegularFilesOnly) {
  ASSERT_EQ(mkfifo(folder_.File("pipe").c_str(), 0600), 0);
  EXPECT_EQ(files_.OpenToRead(folder_.File("pipe")).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(files_.OpenToRead(folder_.path()).status().code(), absl::StatusCode::kInvalidArgument);
  folder_.Write("a", "text");
  ASSERT_EQ(symlink(folder_.File("a").c_str(), folder_.File("link").c_str()), 0);
  EXPECT_FALSE(files_.OpenToRead(folder_.File("link")).ok());
  EXPECT_FALSE(files_.OpenToAppend(folder_.File("link")).ok());
}

TEST_F(FileSystemTest, RenamesOverWhatIsThere) {
  folder_.Write("a", "new");
  folder_.Write("b", "old");
  EXPECT_EQ(files_.Rename(folder_.File("a"), folder_.File("b")), absl::OkStatus());
  EXPECT_EQ(folder_.Read("b"), "new");
  EXPECT_EQ(files_.Rename(folder_.File("a"), folder_.File("b")).code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(files_.Remove(folder_.File("b")), absl::OkStatus());
  EXPECT_EQ(files_.Remove(folder_.File("b")).code(), absl::StatusCode::kNotFound);
}

TEST_F(FileSystemTest, MakesAFolderOnce) {
  const std::string path = folder_.File("sub");
  for (const std::string& spelled : {path, path, path + "/"}) {
    EXPECT_EQ(files_.MakeDirectory(spelled), absl::OkStatus());
  }
  EXPECT_EQ(files_.SyncDirectory(path), absl::OkStatus());
  struct stat info = {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  EXPECT_FALSE(files_.MakeDirectory(folder_.File("absent/sub")).ok());
  EXPECT_FALSE(files_.MakeDirectory(folder_.Write("file", "")).ok());
  EXPECT_FALSE(files_.SyncDirectory(folder_.File("absent")).ok());
}

TEST_F(FileSystemTest, ListsWhatAFolderHolds) {
  folder_.Write("file", "text");
  ASSERT_EQ(files_.MakeDirectory(folder_.File("folder")), absl::OkStatus());
  ASSERT_EQ(symlink("file", folder_.File("link").c_str()), 0);
  const auto entries = files_.List(folder_.path());
  ASSERT_EQ(entries.status(), absl::OkStatus());
  ASSERT_EQ(entries->size(), 3u);
  for (const FolderEntry& entry : *entries) {
    if (entry.name == "file") {
      EXPECT_EQ(entry.kind, FolderEntry::Kind::kFile);
      EXPECT_EQ(entry.bytes, 4);
    } else {
      EXPECT_EQ(entry.kind,
                entry.name == "folder" ? FolderEntry::Kind::kFolder : FolderEntry::Kind::kOther);
    }
  }
  EXPECT_EQ(files_.List(folder_.File("absent")).status().code(), absl::StatusCode::kNotFound);
}

// Callers add the file's name where it may be told.
TEST_F(FileSystemTest, NamesNoPathInItsErrors) {
  const std::string message(files_.OpenToRead(folder_.File("absent")).status().message());
  EXPECT_THAT(message, ::testing::Not(HasSubstr("absent")));
  EXPECT_EQ(Named("log", absl::DataLossError("is torn")), absl::DataLossError("log: is torn"));
}

TEST_F(FileSystemTest, SaysThatADiskIsFull) {
  const auto file = files_.OpenToAppend("/dev/full");
  if (!file.ok()) GTEST_SKIP() << "no /dev/full here";
  const absl::Status status = (*file)->Append("x");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("No space left"));
}

}  // namespace
}  // namespace ssmd
